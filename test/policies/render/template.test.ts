import { describe, expect, test } from 'vitest';
import { MistakeError } from '../../../policies/model/failure.js';
import { renderStrings, renderText, templateVariables, type RenderView } from '../../../policies/render/template.js';

const view: RenderView = {
  vars: { listen: '10.4.1.20:8080', workers: 4, tls: false, html: `<a href="x">&'` },
  site: { id: 'osl-01', data: '/var/lib/foothold' },
};

/** `code: message` of the MistakeError. */
function mistake(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof MistakeError) return `${error.code}: ${error.message}`;
    throw error;
  }
  throw new Error('nothing was refused');
}

describe('a template', () => {
  test.each([
    ['listen {{listen}};', 'listen 10.4.1.20:8080;'],
    ['{{ workers }} {{tls}}', '4 false'],
    ['{{site.id}} {{site.data}}', 'osl-01 /var/lib/foothold'],
    // configuration is no HTML: nothing is escaped, in any of mustache's three forms
    ['{{html}}|{{{html}}}|{{&html}}', `<a href="x">&'|<a href="x">&'|<a href="x">&'`],
    ['no variable at all, } { }}', 'no variable at all, } { }}'],
    ['{"a":{"b":{{workers}}}}', '{"a":{"b":4}}'],
    ['a{{! a remark }}b', 'ab'],
    // the way to write {{ itself
    ['{{=<% %>=}}{{.State}} at <%site.id%>', '{{.State}} at osl-01'],
    ['', ''],
    ['line\r\n{{listen}}\r\n', 'line\r\n10.4.1.20:8080\r\n'],
  ])('%j becomes %j', (text, expected) => {
    expect(renderText(text, view)).toBe(expected);
  });

  test('names its variables once each, in order', () => {
    expect(templateVariables('{{b}} {{a}} {{&b}} {{{site.id}}} {{! c }}')).toEqual(['b', 'a', 'site.id']);
    expect(templateVariables('nothing')).toEqual([]);
  });

  test('a missing variable is an error with its line, not an empty string', () => {
    expect(mistake(() => renderText('one\ntwo {{port}}', view))).toMatch(
      /^VARIABLE_MISSING: .*\{\{port\}\} \(line 2\)/,
    );
  });

  test.each(['constructor', 'toString', '__proto__', 'hasOwnProperty'])('{{%s}} is not found on Object', (name) => {
    expect(mistake(() => renderText(`{{${name}}}`, view))).toMatch(/^VARIABLE_MISSING/);
  });

  test.each([
    ['{{#workers}}x{{/workers}}', /only variables.*\{\{#workers\}\} \(line 1\)/],
    ['\n{{^workers}}x{{/workers}}', /\{\{\^workers\}\} \(line 2\)/],
    ['{{>other}}', /\{\{>other\}\}.*no sections or partials/],
    ['{{vars.listen}}', /\{\{vars\.listen\}\}/],
    ['{{site.name}}', /\{\{site\.name\}\}/],
    ['{{.}}', /\{\{\.\}\}/],
    ['{{}}', /\{\{\}\}/],
    ['{{a b}}', /\{\{a b\}\}/],
    ['a\n{{listen', /Unclosed tag \(line 2\)/],
    ['{{/workers}}', /Unopened section/],
    ['{{=x=}}', /Invalid tags/],
  ])('%j is refused', (text, words) => {
    expect(mistake(() => templateVariables(text))).toMatch(/^RELEASE_INVALID/);
    expect(mistake(() => templateVariables(text))).toMatch(words);
    expect(mistake(() => renderText(text, view))).toMatch(words);
  });

  // Where the line of each is counted from the start it takes twenty seconds and more: no machine is as slow, or as quick, as that.
  test('30,000 variables are read without looking for the line of each', () => {
    const began = performance.now();
    expect(templateVariables('listen {{listen}};\n'.repeat(30_000))).toEqual(['listen']);
    expect(performance.now() - began).toBeLessThan(10_000);
  });
});

test('every string of a value is rendered, and nothing else', () => {
  const value = { exec: ['{{site.data}}/ctl', '{{workers}}'], timeout: 30_000, deep: { '{{key}}': null, on: true } };
  expect(renderStrings(value, view)).toEqual({
    exec: ['/var/lib/foothold/ctl', '4'],
    timeout: 30_000,
    deep: { '{{key}}': null, on: true },
  });
  expect(renderStrings(undefined, view)).toBeUndefined();
});
