import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadFleet } from '../../../records/files/fleet-file.js';
import { digestOf } from '../../../policies/signing/jcs.js';
import { changed, refusalOf, written } from './written.js';

const FLEET = `apiVersion: foothold/v1
kind: Fleet
linkClasses:
  satellite: { settleWithin: 25h }
  drone: { settleWithin: 3h, startWithin: 1m, heartbeat: 20s }
defaults: { owner: grid, vars: { workers: 1, zone: a } }
groups:
  region: { nordic: { owner: grid-nordic, streams: [psk], vars: { workers: 2 }, versions: { os: "12" } } }
  cluster: { oslo: { region: nordic, link: drone, vars: { workers: 4 } } }
sites:
  - { id: osl-02, cluster: oslo, link: satellite, vars: { listen: "10.4.1.20:8080" }, versions: { firmware: 3.4.1 } }
  - { id: osl-01, cluster: oslo, region: arctic, redundancyGroup: pair, risk: low, queue: bridge-1, streams: [a, b] }
  - { id: bare }
`;
const BARE = '  - { id: bare }';

async function load(files: Record<string, string>) {
  const directory = await written(files);
  return loadFleet(join(directory, 'fleet.yaml'));
}

async function refused(files: Record<string, string>) {
  const directory = await written(files);
  const { code, findings } = await refusalOf(directory, loadFleet(join(directory, 'fleet.yaml')));
  expect(code).toBe('FLEET_INVALID');
  return findings;
}

const including = (include: string) => `apiVersion: foothold/v1\nkind: Fleet\ninclude: ${include}\n`;

describe('[A20] a fleet file', () => {
  it('[A14] gives every site what it inherits, and the sites in the order of their ids', async () => {
    const { sites, digest } = await load({ 'fleet.yaml': FLEET });
    const cellular = { name: 'cellular', settleWithin: 7_200_000, startWithin: 60_000, heartbeat: 30_000 };
    expect(sites).toEqual([
      {
        id: 'bare',
        owner: 'grid',
        risk: 'high',
        link: cellular,
        queue: 'site-bare',
        streams: [],
        versions: {},
        vars: { workers: 1, zone: 'a' },
        state: 'active',
      },
      {
        id: 'osl-01',
        region: 'arctic',
        cluster: 'oslo',
        owner: 'grid',
        redundancyGroup: 'pair',
        risk: 'low',
        link: { name: 'drone', settleWithin: 10_800_000, startWithin: 60_000, heartbeat: 20_000 },
        queue: 'bridge-1',
        streams: ['a', 'b'],
        versions: {},
        vars: { workers: 4, zone: 'a' },
        state: 'active',
      },
      {
        id: 'osl-02',
        region: 'nordic',
        cluster: 'oslo',
        owner: 'grid-nordic',
        risk: 'high',
        link: { name: 'satellite', settleWithin: 90_000_000, startWithin: 120_000, heartbeat: 60_000 },
        queue: 'site-osl-02',
        streams: ['psk'],
        versions: { os: '12', firmware: '3.4.1' },
        vars: { workers: 4, zone: 'a', listen: '10.4.1.20:8080' },
        state: 'active',
      },
    ]);
    expect(digest).toBe(digestOf(sites));
  });

  it('has the link classes of the design', async () => {
    const links = ['fibre', 'cellular', 'microwave', 'satellite', 'courier'];
    const text = `apiVersion: foothold/v1\nkind: Fleet\nsites:\n${links.map((link) => `  - { id: ${link}, link: ${link} }`).join('\n')}\n`;
    const { sites } = await load({ 'fleet.yaml': text });
    expect(Object.fromEntries(sites.map(({ link }) => [link.name, link.settleWithin / 60_000]))).toEqual({
      fibre: 30,
      cellular: 120,
      microwave: 120,
      satellite: 24 * 60,
      courier: 21 * 24 * 60,
    });
    expect(sites.find((site) => site.id === 'fibre')?.link.heartbeat).toBe(10_000);
  });

  it('gives a link class the bandwidth that it says, in bits a second, and no other one', async () => {
    const text = changed(FLEET, 'satellite: { settleWithin: 25h }', 'satellite: { bandwidth: 128kbit }');
    const { sites, filled } = await load({ 'fleet.yaml': text });
    const links = Object.fromEntries(sites.map(({ id, link }) => [id, link]));
    expect(links['osl-02']).toMatchObject({ name: 'satellite', settleWithin: 86_400_000, bandwidth: 128_000 });
    expect(links['bare']).not.toHaveProperty('bandwidth');
    const again = await load({ 'fleet.yaml': JSON.stringify(filled) });
    expect(again.sites).toEqual(sites);
  });

  it('filled in gives the same sites and digest again', async () => {
    const first = await load({ 'fleet.yaml': FLEET });
    const again = await load({ 'fleet.yaml': JSON.stringify(first.filled) });
    expect(again).toEqual(first);
  });

  it('does not take names of JavaScript for groups', async () => {
    const { sites } = await load({
      'fleet.yaml': changed(FLEET, BARE, '  - { id: bare, region: constructor, cluster: toString }'),
    });
    expect(sites[0]).toMatchObject({ id: 'bare', region: 'constructor', cluster: 'toString', vars: { workers: 1 } });
  });
});

describe('[A20] included files', () => {
  it('are lists of sites as YAML, or a table', async () => {
    const { sites } = await load({
      'fleet.yaml': `${including('[sites/*.yaml, table.csv]')}groups: { region: { nordic: { vars: { workers: 2 } } } }\n`,
      'sites/b.yaml': '- { id: b-1, region: nordic }\n- { id: b-2 }\n',
      'sites/a.yaml': 'sites:\n  - { id: a-1 }\n',
      'sites/a.txt': 'not included',
      'table.csv':
        '\uFEFFid,region,streams,vars.workers,vars.name,vars.on,versions.firmware,state\r\n' +
        'c-1,nordic,edge-proxy | psk,,"7",true,3.40,\r\n' +
        '\r\n' +
        '"c-2",,"a",-1.5,"x, ""y""\nz",no,"1",retired\r\n',
    });
    expect(sites.map((site) => site.id)).toEqual(['a-1', 'b-1', 'b-2', 'c-1', 'c-2']);
    expect(sites[3]).toMatchObject({
      streams: ['edge-proxy', 'psk'],
      vars: { workers: 2, name: '7', on: true },
      versions: { firmware: '3.40' },
      state: 'active',
    });
    expect(sites[4]).toMatchObject({
      streams: ['a'],
      vars: { workers: -1.5, name: 'x, "y"\nz', on: 'no' },
      versions: { firmware: '1' },
      state: 'retired',
    });
  });

  it('keep numbers that a double would change as text', async () => {
    const { sites } = await load({
      'fleet.yaml': including('[t.csv]'),
      't.csv': 'id,vars.a,vars.b\nx,12345678901234567890,007\n',
    });
    expect(sites[0]?.vars).toEqual({ a: '12345678901234567890', b: '007' });
  });

  it.each<[string, Record<string, string>, string[]]>([
    [
      'no such file',
      { 'fleet.yaml': including('[gone.yaml]') },
      ['fleet.yaml:3:11: include[0]: expected a file that fits `gone.yaml`, found none'],
    ],
    [
      'a pattern that fits nothing',
      { 'fleet.yaml': including('["*.csv"]') },
      ['fleet.yaml:3:11: include[0]: expected a file that fits `*.csv`, found none'],
    ],
    [
      'a pattern in a folder',
      { 'fleet.yaml': including('["*/a.csv"]'), 'x/a.csv': 'id\na\n' },
      [
        'fleet.yaml:3:11: include[0]: expected a file that fits `*/a.csv`, found none; a `*` stands only in the last part of the path',
      ],
    ],
    [
      'a file of another sort',
      { 'fleet.yaml': including('[a.txt]'), 'a.txt': '' },
      ['fleet.yaml:3:11: include[0]: expected files that end in .yaml, .yml, .json, .csv, found a.txt'],
    ],
    [
      'itself',
      { 'fleet.yaml': including('["*.yaml"]') },
      ['fleet.yaml:3:11: include[0]: fleet.yaml would include itself'],
    ],
    [
      'one file twice',
      { 'fleet.yaml': including('[a.csv, "*.csv"]'), 'a.csv': 'id\na\n' },
      ['fleet.yaml:3:18: include[1]: a.csv is included twice'],
    ],
    [
      'several bad files, all named',
      { 'fleet.yaml': including('[a.yaml, b.csv]'), 'a.yaml': '- { id: A }\n', 'b.csv': 'id\nB\n' },
      ['a.yaml:1:9: sites[0].id: expected a name of 1 to 63', 'b.csv:2:1: sites[0].id: expected a name of 1 to 63'],
    ],
    [
      'an id in two files',
      { 'fleet.yaml': including('[a.yaml, b.csv]'), 'a.yaml': '- { id: x }\n', 'b.csv': 'region,id\n,y\n,x\n' },
      ['b.csv:3:2: sites[1].id: the site `x` is there twice; first at a.yaml:1:9'.replace('sites[1].id: ', '')],
    ],
    [
      'what is not available yet, in a list',
      { 'fleet.yaml': including('[a.yaml]'), 'a.yaml': '- { id: x, neighbours: [y] }\n' },
      ['a.yaml:1:12: sites[0]: `neighbours` is not available yet'],
    ],
    [
      'what is not available yet, in a table',
      { 'fleet.yaml': including('[a.csv]'), 'a.csv': 'id,timezone\nx,Europe/Oslo\n' },
      ['a.csv:2:3: sites[0]: `timezone` is not available yet'],
    ],
    [
      'an unknown link in a table',
      { 'fleet.yaml': including('[a.csv]'), 'a.csv': 'id,link\nx,fiber\n' },
      ['a.csv:2:3: sites[0].link: expected the name of a link class, found `fiber`; the nearest is `fibre`'],
    ],
    [
      'a mistyped column',
      { 'fleet.yaml': including('[a.csv]'), 'a.csv': 'id,regoin\nx,y\n' },
      ['a.csv:1:4: unknown column `regoin`; the nearest known column is `region`'],
    ],
    [
      'a column twice',
      { 'fleet.yaml': including('[a.csv]'), 'a.csv': 'id,link,link\nx,,\n' },
      ['a.csv:1:9: the column `link` is there twice'],
    ],
    [
      'no id',
      { 'fleet.yaml': including('[a.csv]'), 'a.csv': 'region\nx\n' },
      ['a.csv:1:1: expected a column `id`, found none'],
    ],
    [
      'vars without a name',
      { 'fleet.yaml': including('[a.csv]'), 'a.csv': 'id,vars\nx,1\n' },
      ['a.csv:1:4: unknown column `vars`; expected the name of one of them, as in `vars.name`'],
    ],
    [
      'semicolons',
      { 'fleet.yaml': including('[a.csv]'), 'a.csv': 'id;region\nx;y\n' },
      [
        'a.csv:1:1: unknown column `id;region`; columns are separated by commas',
        'a.csv:1:1: expected a column `id`, found none',
      ],
    ],
    [
      'a field too many',
      { 'fleet.yaml': including('[a.csv]'), 'a.csv': 'id\nx\ny,z\n' },
      ['a.csv:3:1: expected 1 fields as in the header, found 2'],
    ],
    [
      'a quote never closed',
      { 'fleet.yaml': including('[a.csv]'), 'a.csv': 'id\n"x\n' },
      ['a.csv:2:1: expected a closing `"`, found the end of the file'],
    ],
    [
      'text behind a quote',
      { 'fleet.yaml': including('[a.csv]'), 'a.csv': 'id\n"x"y\n' },
      ['a.csv:2:4: expected a comma after the closing `"`, found `y`'],
    ],
    ['an empty table', { 'fleet.yaml': including('[a.csv]'), 'a.csv': '\n' }, ['a.csv:1:1: expected a header row']],
    [
      'a row without an id',
      { 'fleet.yaml': including('[a.csv]'), 'a.csv': 'id,region\n,y\n' },
      ['a.csv:2:1: sites[0]: `id` is missing'],
    ],
  ])('are refused: %s', async (_, files, starts) => {
    const directory = await written(files);
    const { code, findings } = await refusalOf(directory, loadFleet(join(directory, 'fleet.yaml')));
    expect(code).toBe('FLEET_INVALID');
    expect(findings.map((line, i) => line.slice(0, starts[i]?.length))).toEqual(starts);
  });
});

describe('[A26] the rules of a fleet', () => {
  const bare = (more: string) => [BARE, `  - { id: bare, ${more} }`] as const;
  it.each<[string, readonly [string, string], string]>([
    ['an id twice', ['id: bare', 'id: osl-01'], '13:11: the site `osl-01` is there twice; first at fleet.yaml:12:11'],
    [
      'an unknown link',
      bare('link: cellulr'),
      '13:23: sites[2].link: expected the name of a link class, found `cellulr`; the nearest is `cellular`',
    ],
    [
      'an unknown link as default',
      ['owner: grid,', 'owner: grid, link: pigeon,'],
      '6:32: defaults.link: expected the name of a link class, found `pigeon`; known: fibre',
    ],
    [
      'an unknown link of a cluster',
      ['link: drone', 'link: dron'],
      '9:44: groups.cluster.oslo.link: expected the name of a link class, found `dron`; the nearest is `drone`',
    ],
    [
      'a new link class with something missing',
      ['startWithin: 1m, ', ''],
      '5:3: linkClasses: expected settleWithin, startWithin, heartbeat, as `drone` is not a built-in link class; missing: startWithin',
    ],
    [
      'no heartbeat',
      ['heartbeat: 20s', 'heartbeat: 0s'],
      '5:58: linkClasses.drone.heartbeat: expected a duration above 0',
    ],
    [
      'a mistyped region',
      bare('region: nordci'),
      '13:25: sites[2].region: expected a region of this fleet, found `nordci`, one slip from `nordic`',
    ],
    [
      'a mistyped cluster',
      bare('cluster: Oslo'),
      '13:26: sites[2].cluster: expected a cluster of this fleet, found `Oslo`, one slip from `oslo`',
    ],
    [
      "the control worker's queue",
      bare('queue: foothold'),
      "13:24: sites[2].queue: expected another queue: `foothold` is the control worker's",
    ],
    [
      'a stream twice',
      bare('streams: [a, a]'),
      '13:30: sites[2].streams[1]: the stream `a` is there twice; first at fleet.yaml:13:27',
    ],
    [
      'a version that YAML reads as a number',
      bare('versions: { os: 12 }'),
      '13:33: sites[2].versions.os: expected a version in quotes, such as "3.4.1", found the number 12; put it in quotes',
    ],
    [
      'a variable that is a list',
      bare('vars: { a: [1] }'),
      '13:28: sites[2].vars.a: expected text, a number of at most 15 digits, or true or false, found a list',
    ],
    [
      'a variable that a double cannot hold',
      bare('vars: { a: 12345678901234567890 }'),
      '13:28: sites[2].vars.a: expected at most 15 digits',
    ],
    [
      'a mistyped key',
      bare('clutser: oslo'),
      '13:17: sites[2]: unknown key `clutser`; the nearest known key is `cluster`',
    ],
    [
      'a region in a region',
      ['nordic: { owner', 'nordic: { region: x, owner'],
      '8:23: groups.region.nordic: unknown key `region`',
    ],
    [
      'a mistyped risk',
      bare('risk: hihg'),
      '13:23: sites[2].risk: expected `low`, `medium` or `high`, found `hihg`; the nearest is `high`',
    ],
    ['timezone of a site', bare('timezone: Europe/Oslo'), '13:17: sites[2]: `timezone` is not available yet'],
    [
      'timezone of a region',
      ['nordic: { owner', 'nordic: { timezone: Europe/Oslo, owner'],
      '8:23: groups.region.nordic: `timezone` is not available yet',
    ],
    [
      'timezone of a cluster',
      ['oslo: { region', 'oslo: { timezone: Europe/Oslo, region'],
      '9:22: groups.cluster.oslo: `timezone` is not available yet',
    ],
    [
      'timezone as default',
      ['owner: grid,', 'owner: grid, timezone: UTC,'],
      '6:26: defaults: `timezone` is not available yet',
    ],
    ['neighbours', bare('neighbours: [osl-02]'), '13:17: sites[2]: `neighbours` is not available yet'],
    ['dependsOn', bare('dependsOn: [osl-02]'), '13:17: sites[2]: `dependsOn` is not available yet'],
    [
      'a bandwidth in bytes',
      ['settleWithin: 25h', 'bandwidth: 16kB'],
      '4:27: linkClasses.satellite.bandwidth: expected a bandwidth in kbit, Mbit or Gbit a second, such as 64kbit, 128kbit or 1.5Mbit, found `16kB`',
    ],
    [
      'a bandwidth of nothing',
      ['settleWithin: 25h', 'bandwidth: 0kbit'],
      '4:27: linkClasses.satellite.bandwidth: expected a bandwidth of at least 1kbit',
    ],
    [
      'clockTolerance',
      ['settleWithin: 25h', 'clockTolerance: 2500ms'],
      '4:16: linkClasses.satellite: `clockTolerance` is not available yet',
    ],
    ['syncGap', ['settleWithin: 25h', 'syncGap: 6h'], '4:16: linkClasses.satellite: `syncGap` is not available yet'],
  ])('%s', async (_, [from, to], finding) => {
    const findings = await refused({ 'fleet.yaml': changed(FLEET, from, to) });
    expect(findings).toHaveLength(1);
    expect(findings[0]?.startsWith(`fleet.yaml:${finding}`), findings[0]).toBe(true);
  });

  it.each(['region: west', 'region: nordic-2', 'region: Århus by', 'cluster: osl', 'cluster: bergen'])(
    'but a group that is not declared is taken: %s',
    async (more) => {
      const { sites } = await load({ 'fleet.yaml': changed(FLEET, ...bare(more)) });
      expect(sites).toHaveLength(3);
    },
  );
});
