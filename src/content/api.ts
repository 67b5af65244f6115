/**
 * The port behind which content lives. One conformance suite holds for every engine. Content never
 * shares the event loop or the connection of consensus: the embedded engine runs in a thread of its
 * own with a libp2p host of its own, whose key and addresses are told to the others by gossip.
 */
import type { CidText, Ms } from '../base/brand.ts';
import type { NetworkKeys } from '../wire/network-key.ts';

export interface AddEntry {
  /** Relative path with `/`; no `..`. A single file has just its name. */
  readonly path: string;
  readonly content: AsyncIterable<Uint8Array> | null; // null: an empty directory
}

export interface AddedItem {
  readonly cid: CidText;
  /** Bytes of the file, or of all files below the directory. */
  readonly bytes: number;
  readonly blocks: number;
  readonly files: number;
}

/** Where blocks can be fetched: another node's content host. */
export interface Provider {
  readonly peerId: string;
  readonly addresses: readonly string[];
}

export type PinState = 'queued' | 'fetching' | 'pinned' | 'failed' | 'unavailable';

export interface PinStatus {
  readonly cid: CidText;
  readonly state: PinState;
  /** Wall time of the last change of state, ms. */
  readonly sinceMs: Ms;
  readonly attempts: number;
  readonly bytesDone: number;
  readonly bytesTotal: number | null;
  readonly blocks: number;
  readonly lastError: string | null;
}

export interface ContentEngine {
  readonly name: 'embedded' | 'kubo' | 'ipfs-cluster';
  start(): Promise<void>;
  stop(): Promise<void>;
  /** This node's content host, for the others. */
  provider(): Provider;
  setProviders(providers: readonly Provider[]): void;
  /** Resolves once connections from here on go by these, also after a restart of the engine. */
  setNetworkKeys(keys: NetworkKeys): Promise<void>;
  /** Imports as UnixFS by streaming and pins the root here once every block is fsynced. */
  add(entries: AsyncIterable<AddEntry>, onProgress: (bytes: number) => void): Promise<AddedItem>;
  /**
   * A file's bytes; a directory is refused with `bad-request`. Fetches what is missing, without
   * keeping it; `unavailable` when no provider has it.
   */
  cat(cid: CidText, path: string, options: { timeoutMs: Ms }): AsyncIterable<Uint8Array>;
  /** The whole DAG as a CAR stream, for another engine; fetches what is missing, as `cat` does. */
  car(cid: CidText, options: { timeoutMs: Ms }): AsyncIterable<Uint8Array>;
  /** The tree below, in order; files are then read by `cat`. */
  ls(
    cid: CidText,
    path: string,
    options: { timeoutMs: Ms },
  ): Promise<{ path: string; type: 'file' | 'directory'; bytes: number }[]>;
  /** The blocks of pins that are whole here, as one CAR; not every engine lets them go. */
  exportCar?(cids: readonly CidText[]): AsyncIterable<Uint8Array>;
  /**
   * Fetches the whole DAG, fsyncs it, then reports `pinned`. Level-triggered: calling again is
   * harmless.
   */
  pin(cid: CidText): void;
  /** Forgets the pin; blocks go with the next collection. */
  unpin(cid: CidText): Promise<void>;
  pins(): Promise<PinStatus[]>;
  onPinChange(listener: (status: PinStatus) => void): void;
  /**
   * Proof of possession: SHA-256 over nonce and the named block's bytes, hex; throws `not-
   * found`.
   */
  prove(cid: CidText, blockIndex: number, nonce: string): Promise<string>;
  /**
   * Re-reads and hashes every block of the DAG on this node; the number of blocks, or throws
   * `damaged`.
   */
  verify(cid: CidText): Promise<{ blocks: number; bytes: number }>;
  /** Deletes blocks of no pin. */
  collectGarbage(): Promise<{ blocks: number; bytes: number }>;
  usage(): Promise<{ bytesStored: number; bytesFree: number; blocks: number }>;
}
