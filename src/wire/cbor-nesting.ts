/**
 * How deep a piece of CBOR nests, found without recursion and before it is decoded. Decoders
 * recurse: without this limit hostile nesting would overflow the stack, on one replica at another
 * depth than on the next, and they would disagree about the same entry.
 */
const unknownLength = Number.MAX_SAFE_INTEGER;

/** Deepest nesting of arrays, maps and tags; malformed bytes answer for what could be read. */
export function nestingOf(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  /** Items still to come at each open level. */
  const open: number[] = [];
  let deepest = 0;
  let at = 0;
  while (at < bytes.length) {
    const first = bytes[at] ?? 0;
    const major = first >> 5;
    const minor = first & 31;
    const width = minor < 24 || minor === 31 ? 0 : 1 << (minor - 24);
    if (width > 8 || at + 1 + width > bytes.length) break;
    const argument = minor === 31 ? unknownLength : argumentOf(view, at + 1, width, minor);
    at += 1 + width;
    let top = open.length - 1;
    if (top >= 0) open[top] = (open[top] ?? 0) - 1;
    if ((major === 2 || major === 3) && minor !== 31) at += argument;
    else if (major >= 2 && major <= 6) {
      open.push(major === 5 && minor !== 31 ? argument * 2 : major === 6 ? 1 : argument);
      deepest = Math.max(deepest, open.length);
    } else if (first === 0xff) open.pop();
    for (top = open.length - 1; top >= 0 && (open[top] ?? 0) <= 0; top--) open.pop();
  }
  return deepest;
}

function argumentOf(view: DataView, at: number, width: number, minor: number): number {
  switch (width) {
    case 0:
      return minor;
    case 1:
      return view.getUint8(at);
    case 2:
      return view.getUint16(at);
    case 4:
      return view.getUint32(at);
    default:
      return Number(view.getBigUint64(at));
  }
}
