// @ts-check
/**
 * A reader for the one kind of zip file that set-up meets: a wheel. It reads the central directory, takes stored and deflated
 * entries, and checks length and CRC. No zip64, no encryption, no archives in parts: such a file is refused.
 */
import { crc32, inflateRawSync } from 'node:zlib';
import { SetupError } from './run.mjs';

const END_OF_DIRECTORY = 0x06054b50;
const DIRECTORY_ENTRY = 0x02014b50;
const LOCAL_ENTRY = 0x04034b50;
const END_LENGTH = 22;
const LONGEST_COMMENT = 0xffff;

/**
 * The content of one entry.
 * @param {Buffer} zip
 * @param {(name: string) => boolean} wanted
 * @returns {Buffer}
 * @throws {SetupError} when the file is no such zip, is damaged, or holds no wanted entry
 */
export function readZipEntry(zip, wanted) {
  const end = findEnd(zip);
  let at = zip.readUInt32LE(end + 16);
  const count = zip.readUInt16LE(end + 10);
  for (let index = 0; index < count; index += 1) {
    if (at + 46 > zip.length || zip.readUInt32LE(at) !== DIRECTORY_ENTRY) throw damaged('its directory is broken');
    const nameLength = zip.readUInt16LE(at + 28);
    const name = zip.toString('utf8', at + 46, at + 46 + nameLength);
    if (wanted(name)) return readEntry(zip, at, name);
    at += 46 + nameLength + zip.readUInt16LE(at + 30) + zip.readUInt16LE(at + 32);
  }
  throw damaged('it does not hold the wanted file');
}

/** @param {Buffer} zip */
function findEnd(zip) {
  for (let at = zip.length - END_LENGTH; at >= Math.max(0, zip.length - END_LENGTH - LONGEST_COMMENT); at -= 1) {
    if (zip.readUInt32LE(at) === END_OF_DIRECTORY) return at;
  }
  throw damaged('it has no directory');
}

/** @param {Buffer} zip @param {number} entry offset in the directory @param {string} name */
function readEntry(zip, entry, name) {
  const method = zip.readUInt16LE(entry + 10);
  const crc = zip.readUInt32LE(entry + 16);
  const packed = zip.readUInt32LE(entry + 20);
  const length = zip.readUInt32LE(entry + 24);
  const local = zip.readUInt32LE(entry + 42);
  if (local + 30 > zip.length || zip.readUInt32LE(local) !== LOCAL_ENTRY) throw damaged(`${name} has no header`);
  // The lengths of name and extra field may differ between the two headers: only the local ones say where the data begins.
  const start = local + 30 + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28);
  const data = zip.subarray(start, start + packed);
  const content = unpack(data, method, length, name);
  if (content.length !== length || crc32(content) !== crc) throw damaged(`${name} does not have its checksum`);
  return content;
}

/** @param {Buffer} data @param {number} method @param {number} length @param {string} name */
function unpack(data, method, length, name) {
  if (method === 0) return data;
  if (method !== 8) throw damaged(`${name} is packed by method ${method}`);
  try {
    return inflateRawSync(data, { maxOutputLength: Math.max(length, 1) });
  } catch (error) {
    throw damaged(`${name} cannot be unpacked: ${/** @type {Error} */ (error).message}`);
  }
}

/** @param {string} why */
function damaged(why) {
  return new SetupError(`expected a readable zip file, but ${why}`);
}
