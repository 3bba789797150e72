/** The zip reader against archives made by an independent writer, and against damage. */
import { crc32, deflateRawSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { readZipEntry } from '../../../infra/setup/zip.mjs';

interface Member {
  name: string;
  content: Buffer;
  stored?: boolean;
}

/** A zip as the format's specification has it: local headers with an extra field of another length than the directory's. */
function makeZip(members: Member[], comment = ''): Buffer {
  const locals: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const { name, content, stored } of members) {
    const data = stored ? content : deflateRawSync(content);
    const fields = Buffer.alloc(26);
    fields.writeUInt16LE(20, 0);
    fields.writeUInt16LE(stored ? 0 : 8, 4);
    fields.writeUInt32LE(crc32(content), 10);
    fields.writeUInt32LE(data.length, 14);
    fields.writeUInt32LE(content.length, 18);
    fields.writeUInt16LE(Buffer.byteLength(name), 22);
    const localFields = Buffer.from(fields);
    localFields.writeUInt16LE(4, 24);
    const local = Buffer.concat([Buffer.from('PK\x03\x04'), localFields, Buffer.from(name), Buffer.from('XXXX'), data]);
    const tail = Buffer.alloc(14);
    tail.writeUInt32LE(offset, 10);
    directory.push(Buffer.concat([Buffer.from('PK\x01\x02'), Buffer.from([20, 3]), fields, tail, Buffer.from(name)]));
    locals.push(local);
    offset += local.length;
  }
  const index = Buffer.concat(directory);
  const end = Buffer.alloc(18);
  end.writeUInt16LE(members.length, 4);
  end.writeUInt16LE(members.length, 6);
  end.writeUInt32LE(index.length, 8);
  end.writeUInt32LE(offset, 12);
  end.writeUInt16LE(comment.length, 16);
  return Buffer.concat([...locals, index, Buffer.from('PK\x05\x06'), end, Buffer.from(comment)]);
}

const program = Buffer.from('#!/bin/sh\n'.repeat(500));
const members: Member[] = [
  { name: 'x.dist-info/METADATA', content: Buffer.from('Name: x\n'), stored: true },
  { name: 'x.data/scripts/program', content: program },
];
const wanted = (name: string): boolean => name.endsWith('/program');

describe('a wheel', () => {
  it('gives its deflated and its stored entries', () => {
    const zip = makeZip(members, 'a comment after the end');
    expect(readZipEntry(zip, wanted).equals(program)).toBe(true);
    expect(readZipEntry(zip, (name) => name.endsWith('METADATA')).toString()).toBe('Name: x\n');
  });

  it('without the wanted entry is refused', () => {
    expect(() => readZipEntry(makeZip(members), () => false)).toThrow('does not hold the wanted file');
  });

  it('with one byte of the content changed is refused', () => {
    const stored = makeZip([{ name: 'a/program', content: program, stored: true }]);
    stored[stored.indexOf('#!/bin/sh') + 3] = 0x58;
    expect(() => readZipEntry(stored, wanted)).toThrow('does not have its checksum');
  });

  it('that unpacks to more than it says is refused', () => {
    const zip = makeZip([{ name: 'a/program', content: program }]);
    zip.writeUInt32LE(10, zip.indexOf('PK\x01\x02') + 24);
    expect(() => readZipEntry(zip, wanted)).toThrow('cannot be unpacked');
  });

  it('cut short, or something else altogether, is refused', () => {
    const zip = makeZip(members);
    expect(() => readZipEntry(zip.subarray(0, zip.length - 30), wanted)).toThrow('it has no directory');
    expect(() => readZipEntry(Buffer.from('<html>not a wheel</html>'), wanted)).toThrow('it has no directory');
    expect(() => readZipEntry(Buffer.alloc(0), wanted)).toThrow('it has no directory');
  });
});
