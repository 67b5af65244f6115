/**
 * A disk in memory that keeps apart what was written and what was synced. A crash leaves of every
 * unsynced write all, nothing, or some of its sectors, and of the unsynced changes of a folder those
 * up to some point. The power can be cut at any operation, and an operation can be made to fail.
 */
import { basename, dirname } from 'node:path';
import type { Prng } from '../../../src/base/prng.ts';
import type { Disk, DiskFile } from '../../../src/store/disk.ts';

const sectorBytes = 512;

type FileChange =
  | { readonly type: 'write'; readonly at: number; readonly bytes: Buffer }
  | { readonly type: 'truncate'; readonly bytes: number };

interface Node {
  durable: Buffer;
  now: Buffer;
  pending: FileChange[];
}

type Names = Map<string, Node>;
type FolderChange = (names: Names) => void;

export class PowerCut extends Error {
  override readonly name = 'PowerCut';
}

function changed(bytes: Buffer, change: FileChange): Buffer {
  const end = change.type === 'write' ? change.at + change.bytes.length : change.bytes;
  const size = change.type === 'write' ? Math.max(bytes.length, end) : end;
  const out = Buffer.alloc(size);
  bytes.copy(out, 0, 0, size);
  if (change.type === 'write') change.bytes.copy(out, change.at);
  return out;
}

/** What is left of a write when the power went: all, nothing, or some sectors. */
function remains(bytes: Buffer, change: FileChange, prng: Prng): Buffer {
  const luck = prng.int(3);
  if (luck === 0) return bytes;
  if (luck === 1 || change.type === 'truncate') return changed(bytes, change);
  let out = bytes;
  for (let at = 0; at < change.bytes.length; ) {
    const next = Math.min(change.bytes.length, at + sectorBytes - ((change.at + at) % sectorBytes));
    const sector = { ...change, at: change.at + at, bytes: change.bytes.subarray(at, next) };
    if (prng.chance(0.5)) out = changed(out, sector);
    at = next;
  }
  return out;
}

export class MemoryDisk implements Disk {
  #names: Names = new Map();
  #durable: Names = new Map();
  #pending: FolderChange[] = [];
  /** Operations done so far; every one of them is a place where the power may go. */
  operations = 0;
  #cutAt = Number.POSITIVE_INFINITY;
  #failure: { at: number; code: string } | null = null;

  /** The power goes before operation `at`, counted from now; nothing works after it. */
  cutPowerAfter(at: number): void {
    this.#cutAt = this.operations + at;
  }

  failAfter(at: number, code: string): void {
    this.#failure = { at: this.operations + at, code };
  }

  /** The files as text of names and bytes, as they would be read now. */
  files(): Map<string, Buffer> {
    return new Map([...this.#names].map(([name, node]) => [name, Buffer.from(node.now)]));
  }

  static of(files: ReadonlyMap<string, Buffer>): MemoryDisk {
    const disk = new MemoryDisk();
    for (const [name, bytes] of files) {
      const node = { durable: bytes, now: bytes, pending: [] };
      disk.#names.set(name, node);
      disk.#durable.set(name, node);
    }
    return disk;
  }

  /** The disk as it is found after a crash now. */
  afterCrash(prng: Prng): MemoryDisk {
    const names = new Map(this.#durable);
    for (const change of this.#pending.slice(0, prng.int(this.#pending.length + 1))) change(names);
    const left = new Map<string, Buffer>();
    for (const [name, node] of names) {
      let bytes = node.durable;
      for (const change of node.pending) bytes = remains(bytes, change, prng);
      left.set(name, bytes);
    }
    return MemoryDisk.of(left);
  }

  #failing(): boolean {
    return this.#failure !== null && this.operations >= this.#failure.at;
  }

  async #operation(): Promise<void> {
    if (this.operations >= this.#cutAt) throw new PowerCut('the power went');
    const failure = this.#failing() ? this.#failure : null;
    this.operations += 1;
    if (failure !== null) throw Object.assign(new Error(failure.code), { code: failure.code });
  }

  #rename(change: FolderChange): void {
    change(this.#names);
    this.#pending.push(change);
  }

  #file(node: Node): DiskFile {
    const apply = (change: FileChange) => {
      node.now = changed(node.now, change);
      node.pending.push(change);
    };
    return {
      write: async (bytes, at) => {
        const fails = this.#failing();
        // A write that fails may have been done in part.
        const done = fails ? bytes.subarray(0, bytes.length >> 1) : bytes;
        if (this.operations < this.#cutAt) apply({ type: 'write', at, bytes: Buffer.from(done) });
        await this.#operation();
      },
      sync: async () => {
        await this.#operation();
        node.durable = node.now;
        node.pending = [];
      },
      truncate: async (bytes) => {
        await this.#operation();
        apply({ type: 'truncate', bytes });
      },
      close: async () => undefined,
    };
  }

  async open(path: string, how?: 'through'): Promise<DiskFile> {
    const node = this.#names.get(basename(path));
    if (node === undefined) throw Object.assign(new Error(`no ${path}`), { code: 'ENOENT' });
    const file = this.#file(node);
    if (how !== 'through') return file;
    // The power may go between the two: what is written through may be there without being told.
    return {
      ...file,
      write: async (bytes, at) => {
        await file.write(bytes, at);
        await file.sync();
      },
    };
  }

  async create(path: string): Promise<DiskFile> {
    await this.#operation();
    const node: Node = { durable: Buffer.alloc(0), now: Buffer.alloc(0), pending: [] };
    this.#rename((names) => names.set(basename(path), node));
    return this.#file(node);
  }

  async read(path: string): Promise<Buffer | null> {
    const node = this.#names.get(basename(path));
    return node === undefined ? null : Buffer.from(node.now);
  }

  async list(_dir: string): Promise<string[]> {
    return [...this.#names.keys()];
  }

  async makeDir(_dir: string): Promise<void> {
    return undefined;
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#operation();
    const node = this.#names.get(basename(from));
    if (node === undefined || dirname(from) !== dirname(to))
      throw Object.assign(new Error(`no ${from}`), { code: 'ENOENT' });
    this.#rename((names) => {
      names.delete(basename(from));
      names.set(basename(to), node);
    });
  }

  async link(from: string, to: string): Promise<boolean> {
    await this.#operation();
    const node = this.#names.get(basename(from));
    if (node === undefined) throw Object.assign(new Error(`no ${from}`), { code: 'ENOENT' });
    if (this.#names.has(basename(to))) return false;
    this.#rename((names) => names.set(basename(to), node));
    return true;
  }

  async remove(path: string): Promise<boolean> {
    await this.#operation();
    const was = this.#names.has(basename(path));
    this.#rename((names) => names.delete(basename(path)));
    return was;
  }

  async syncDir(_dir: string): Promise<void> {
    await this.#operation();
    this.#durable = new Map(this.#names);
    this.#pending = [];
  }
}
