/**
 * CRC-32C (Castagnoli), the checksum of everything the log store writes. Node has only the IEEE
 * polynomial; this one detects every burst of up to 32 bits and is what storage systems use.
 * Eight bytes a step over eight tables (slicing-by-8); `seed` continues an earlier checksum.
 */
const polynomial = 0x82f63b78;

const tables = buildTables();

function buildTables(): Int32Array {
  const out = new Int32Array(8 * 256);
  for (let i = 0; i < 256; i++) {
    let crc = i;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ polynomial : crc >>> 1;
    out[i] = crc;
  }
  for (let i = 256; i < out.length; i++) {
    const before = out[i - 256] as number;
    out[i] = (before >>> 8) ^ (out[before & 0xff] as number);
  }
  return out;
}

/** The checksum of `bytes`, or of what `seed` covers followed by `bytes`. */
export function crc32c(bytes: Uint8Array, seed = 0): number {
  const t = tables;
  let crc = ~seed;
  let i = 0;
  for (const end = bytes.length - 7; i < end; i += 8) {
    const low =
      crc ^
      ((bytes[i] as number) |
        ((bytes[i + 1] as number) << 8) |
        ((bytes[i + 2] as number) << 16) |
        ((bytes[i + 3] as number) << 24));
    crc =
      (t[1792 + (low & 0xff)] as number) ^
      (t[1536 + ((low >>> 8) & 0xff)] as number) ^
      (t[1280 + ((low >>> 16) & 0xff)] as number) ^
      (t[1024 + (low >>> 24)] as number) ^
      (t[768 + (bytes[i + 4] as number)] as number) ^
      (t[512 + (bytes[i + 5] as number)] as number) ^
      (t[256 + (bytes[i + 6] as number)] as number) ^
      (t[bytes[i + 7] as number] as number);
  }
  for (; i < bytes.length; i++)
    crc = (crc >>> 8) ^ (t[(crc ^ (bytes[i] as number)) & 0xff] as number);
  return ~crc >>> 0;
}
