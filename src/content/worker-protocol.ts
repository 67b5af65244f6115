/**
 * What the main thread and the content thread say to each other. A call is answered once, by value
 * or by error; byte streams run on a message port of their own with credit (see part-stream.ts);
 * events come unasked. Only plain data crosses: CIDs and addresses are text.
 */

import type { MessagePort } from 'node:worker_threads';
import type { CidText, Ms } from '../base/brand.ts';
import { AgentError, asAgentError, type ErrorCode } from '../base/error.ts';
import type { NetworkKeys } from '../wire/network-key.ts';
import type { AddedItem, PinStatus, Provider } from './api.ts';
import type { RefusedPeer } from './content-host.ts';
import type { Listing } from './unixfs-read.ts';

export interface EmbeddedOptions {
  /** Folder of this engine alone; made if missing. */
  readonly dir: string;
  /** Multiaddrs to listen on; port 0 takes a free one. */
  readonly listen: readonly string[];
  /** Multiaddrs to tell the others instead of those listened on; empty: the latter. */
  readonly announce?: readonly string[];
  /** Swarm key file's text, or its 64 hex digits; or several of them. */
  readonly networkKey: string | NetworkKeys;
  /** Bytes of the disk that content leaves free. @default 256 MiB */
  readonly reserveBytes?: number;
  /** A pin's attempt ends after this long without a block. @default 20_000 */
  readonly stallMs?: Ms;
  /** Longest pause between attempts. @default 300_000 */
  readonly backoffMsMax?: Ms;
}

/** The calls, as they look from the main thread (there each returns a promise). */
export interface Operations {
  add(port: MessagePort): AddedItem;
  cat(where: { cid: CidText; path: string }, timeoutMs: Ms, port: MessagePort): null;
  car(cid: CidText, timeoutMs: Ms, port: MessagePort): null;
  ls(where: { cid: CidText; path: string }, timeoutMs: Ms): Listing[];
  exportCar(cids: readonly CidText[], port: MessagePort): null;
  setProviders(providers: readonly Provider[]): null;
  setNetworkKeys(keys: NetworkKeys): null;
  pin(cids: readonly CidText[]): null;
  unpin(cid: CidText): null;
  pins(): PinStatus[];
  prove(cid: CidText, blockIndex: number, nonce: string): string;
  verify(cid: CidText): { blocks: number; bytes: number };
  collectGarbage(): { blocks: number; bytes: number };
  usage(): { bytesStored: number; bytesFree: number; blocks: number };
  stop(): null;
}

export type OperationName = keyof Operations;

/** The handlers in the content thread. */
export type OperationHandlers = {
  [K in OperationName]: (
    ...args: Parameters<Operations[K]>
  ) => ReturnType<Operations[K]> | Promise<ReturnType<Operations[K]>>;
};

export interface Call {
  readonly id: number;
  readonly op: OperationName;
  readonly args: readonly unknown[];
}

export interface ErrorData {
  readonly code: ErrorCode;
  readonly message: string;
}

export type FromWorker =
  | { readonly type: 'ready'; readonly provider: Provider }
  | { readonly type: 'refused'; readonly error: ErrorData }
  | { readonly type: 'answer'; readonly id: number; readonly value: unknown }
  | { readonly type: 'error'; readonly id: number; readonly error: ErrorData }
  /** Some were not let in since the last word: how many, and the last of them. */
  | { readonly type: 'strangers'; readonly count: number; readonly last: RefusedPeer }
  | { readonly type: 'pins'; readonly statuses: readonly PinStatus[] };

export function errorData(thrown: unknown): ErrorData {
  const { code, message } = asAgentError(thrown);
  return { code, message };
}

export function errorFrom({ code, message }: ErrorData): AgentError {
  return new AgentError(code, message);
}
