/**
 * Reads the CBOR that our own values are made of. What it does not know it does not judge: it
 * stops, and `isWhole` says that somebody else must decide.
 */

/** Names of fields come again and again: a slot remembers the last text with its hash. */
const namesSlots = 2048;
const nameBytesMax = 32;

interface Name {
  readonly text: string;
  readonly length: number;
}

const names: (Name | undefined)[] = new Array(namesSlots).fill(undefined);
const utf8 = new TextDecoder();

export class CborReader {
  readonly #bytes: Uint8Array;
  readonly #buffer: Buffer;
  readonly #nestingMax: number;
  #at = 0;
  /** It met something that it leaves to others. */
  #stopped = false;

  constructor(bytes: Uint8Array, nestingMax: number) {
    this.#bytes = bytes;
    this.#buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#nestingMax = nestingMax;
  }

  /** Exactly one item was there, and all of it was understood. */
  isWhole(): boolean {
    return !this.#stopped && this.#at === this.#bytes.length;
  }

  /** The next item; worth nothing unless `isWhole` holds in the end. */
  item(depth: number): unknown {
    const first = this.#bytes[this.#at] ?? 0xff;
    this.#at += 1;
    switch (first >> 5) {
      case 0:
        return this.#argument(first);
      case 1:
        return -1 - this.#argument(first);
      case 2:
        return this.#byteString(this.#argument(first));
      case 3:
        return this.#text(this.#argument(first));
      case 4:
        return this.#array(this.#argument(first), depth);
      case 5:
        return this.#map(this.#argument(first), depth);
      case 7:
        return this.#simple(first);
      default:
        return this.#stop();
    }
  }

  #stop(): undefined {
    this.#stopped = true;
    return undefined;
  }

  /** Moves on by so many bytes; where they begin. A stop leaves the place where it is. */
  #take(length: number): number {
    const from = this.#at;
    if (from + length > this.#bytes.length) this.#stopped = true;
    else this.#at = from + length;
    return from;
  }

  #argument(first: number): number {
    const minor = first & 31;
    if (minor < 24) return minor;
    const width = minor > 27 ? 0 : 1 << (minor - 24);
    const from = this.#take(width);
    if (width === 0 || this.#stopped) {
      this.#stopped = true;
      return 0;
    }
    if (width === 1) return this.#bytes[from] as number;
    if (width === 2) return this.#buffer.readUInt16BE(from);
    if (width === 4) return this.#buffer.readUInt32BE(from);
    const value =
      this.#buffer.readUInt32BE(from) * 0x1_0000_0000 + this.#buffer.readUInt32BE(from + 4);
    // At the bound itself rounding could hide that it was more.
    if (value >= Number.MAX_SAFE_INTEGER) this.#stopped = true;
    return value;
  }

  #simple(first: number): unknown {
    switch (first) {
      case 0xf4:
        return false;
      case 0xf5:
        return true;
      case 0xf6:
        return null;
      case 0xf7:
        return undefined;
      case 0xfa: {
        const from = this.#take(4);
        return this.#stopped ? undefined : this.#buffer.readFloatBE(from);
      }
      case 0xfb: {
        const from = this.#take(8);
        return this.#stopped ? undefined : this.#buffer.readDoubleBE(from);
      }
      case 0xf9:
        return this.#half();
      default:
        return this.#stop();
    }
  }

  #half(): number | undefined {
    const from = this.#take(2);
    if (this.#stopped) return undefined;
    const bits = this.#buffer.readUInt16BE(from);
    const exponent = (bits >> 10) & 31;
    // Subnormal numbers, infinities and whatever is no number are left to others.
    if (exponent === 0 || exponent === 31) return this.#stop();
    const value = ((bits & 0x3ff) + 1024) * 2 ** (exponent - 25);
    return bits & 0x8000 ? -value : value;
  }

  /** A copy: whoever keeps it does not keep the whole frame. */
  #byteString(length: number): Uint8Array | undefined {
    const from = this.#take(length);
    if (this.#stopped) return undefined;
    const copy = new Uint8Array(length);
    copy.set(this.#bytes.subarray(from, from + length));
    return copy;
  }

  #text(length: number): string {
    const from = this.#take(length);
    if (this.#stopped) return '';
    const to = from + length;
    const bytes = this.#bytes;
    for (let i = from; i < to; i++)
      if ((bytes[i] as number) > 0x7f) return utf8.decode(bytes.subarray(from, to));
    return this.#buffer.toString('latin1', from, to);
  }

  #array(length: number, depth: number): unknown[] | undefined {
    if (depth >= this.#nestingMax || length > this.#bytes.length - this.#at) return this.#stop();
    const items: unknown[] = [];
    for (let i = 0; i < length && !this.#stopped; i++) items.push(this.item(depth + 1));
    return items;
  }

  #map(length: number, depth: number): Record<string, unknown> | undefined {
    if (depth >= this.#nestingMax || length > this.#bytes.length - this.#at) return this.#stop();
    const map: Record<string, unknown> = {};
    for (let i = 0; i < length && !this.#stopped; i++) {
      const name = this.#name();
      // An assignment would call the setter of the prototype.
      if (name === '__proto__') return this.#stop();
      map[name] = this.item(depth + 1);
    }
    return map;
  }

  #name(): string {
    const first = this.#bytes[this.#at] ?? 0xff;
    if (first >> 5 !== 3) {
      this.#stopped = true;
      return '';
    }
    this.#at += 1;
    const length = this.#argument(first);
    if (length > nameBytesMax || this.#stopped) return this.#text(length);
    const from = this.#take(length);
    if (this.#stopped) return '';
    const bytes = this.#bytes;
    let hash = length;
    for (let i = from; i < from + length; i++) hash = (hash * 31 + (bytes[i] as number)) | 0;
    const slot = hash & (namesSlots - 1);
    const known = names[slot];
    if (known !== undefined && known.length === length && this.#spells(known.text, from))
      return known.text;
    this.#at = from;
    const text = this.#text(length);
    if (text.length === length) names[slot] = { text, length };
    return text;
  }

  #spells(text: string, from: number): boolean {
    const bytes = this.#bytes;
    for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) !== bytes[from + i]) return false;
    return true;
  }
}
