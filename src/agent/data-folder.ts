/**
 * The node's folder: who it is (`node.json`), the token of its HTTP port, the network key and the
 * lock that keeps a second agent out. Identity key and log live and die together: `node.json` is
 * written as `joining` before the key is made, as `founding` or `enrolled` when there is a
 * certificate, and as `member` after the log exists, so that a key without its log, or a log
 * without its key, is noticed and refuses to start.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { z } from 'zod';
import { AgentError } from '../base/error.ts';
import { identityFile, writeDurably } from '../mesh/identity.ts';
import { certificateSchema } from '../wire/member.ts';
import { makeFolder } from './make-folder.ts';
import { finishChange } from './recovery/folder-change.ts';

const hex32 = z.string().regex(/^[0-9a-f]{32}$/);

/** More recoveries than that call for a new key. */
export const pastEpochsMax = 64;

const nodeFileSchema = z.discriminatedUnion('state', [
  /** A key and no certificate yet. */
  z.object({ version: z.literal(1), state: z.literal('joining'), name: z.string() }),
  /** Certified as the first master of a new cluster; its log is still empty. */
  z.object({
    ...{ version: z.literal(1), state: z.literal('founding'), name: z.string() },
    ...{ clusterId: hex32, epoch: hex32 },
  }),
  /** Certified; `peers` are where the cluster was met. */
  z.object({
    ...{ version: z.literal(1), state: z.literal('enrolled'), name: z.string() },
    clusterId: hex32,
    peers: z.array(z.string().max(512)).max(64),
  }),
  z.object({
    version: z.literal(1),
    state: z.literal('member'),
    name: z.string(),
    clusterId: hex32,
    epoch: hex32,
    /** 0 until another member has told it. */
    epochNumber: z.int().min(0),
    /** The epoch that this one was made from by force. */
    parentEpoch: hex32.nullable().default(null),
    /** Epochs that this key has been in: it may have voted there, so it never goes back. */
    pastEpochs: z.array(hex32).max(pastEpochsMax).default([]),
    /** Null until the leader has admitted this node. */
    certificate: certificateSchema.nullable(),
    /** This node made the cluster, and its first entry may not be in the log yet. */
    bootstrap: z.boolean(),
    /** It left its cluster by itself; the folder does not start again. */
    left: z.boolean().optional(),
  }),
]);
export type NodeFile = z.infer<typeof nodeFileSchema>;
export type MemberFile = Extract<NodeFile, { state: 'member' }>;

export interface DataFolder {
  readonly path: string;
  readonly logDir: string;
  readonly catalogDir: string;
  readonly contentDir: string;
  readonly eventsDir: string;
  readonly incomingDir: string;
  /** Made at the first start, mode 0600. */
  readonly token: string;
  node(): NodeFile | null;
  /** Writes are made one after the other. */
  writeNode(file: NodeFile): Promise<void>;
  /** `next` is told what the file says when its turn comes; null: nothing is to be changed. */
  changeMember(next: (file: MemberFile) => MemberFile | null): Promise<void>;
  release(): void;
}

/**
 * A lock that the kernel drops with the process, however it ends: an open exclusive transaction of
 * a database that nobody else uses.
 */
function takeLock(path: string): DatabaseSync {
  const db = new DatabaseSync(join(path, 'lock.sqlite'));
  try {
    db.exec('PRAGMA journal_mode = MEMORY; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
    return db;
  } catch (cause) {
    db.close();
    throw new AgentError('already-running', `another agent uses the data folder ${path}`, {
      cause,
    });
  }
}

function readToken(path: string): string {
  const file = join(path, 'http.token');
  if (!existsSync(file)) {
    // Whole and synced before it has its name: a power cut must not leave an empty token behind.
    const draft = `${file}.tmp`;
    const options = { mode: 0o600, flush: true };
    writeFileSync(draft, `${randomBytes(32).toString('hex')}\n`, options);
    renameSync(draft, file);
  }
  const token = readFileSync(file, 'utf8').trim();
  if (token.length < 16)
    throw new AgentError('damaged', `${file}: a token of at least 16 characters is expected`);
  return token;
}

function readNode(path: string): NodeFile | null {
  const file = join(path, 'node.json');
  if (!existsSync(file)) return null;
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw new AgentError('damaged', `${file} is not JSON`, { cause });
  }
  const parsed = nodeFileSchema.safeParse(value);
  if (!parsed.success) throw new AgentError('damaged', `${file}: ${z.prettifyError(parsed.error)}`);
  return parsed.data;
}

/** Key, log and `node.json` must tell the same story. */
function checkTogether(folder: { path: string; logDir: string }, node: NodeFile | null): void {
  const key = existsSync(join(folder.path, identityFile));
  const log = existsSync(folder.logDir);
  const story = `${folder.path} has ${key ? 'an' : 'no'} identity key and ${log ? 'a' : 'no'} log`;
  if (node === null && (key || log))
    throw new AgentError(
      'damaged',
      `${story}, but no node.json; restore the folder whole, or start with an empty one`,
    );
  if (node?.state === 'joining' && log)
    throw new AgentError('damaged', `${story}, but never joined; start with an empty folder`);
  if (node?.state === 'member' && !(key && log))
    throw new AgentError(
      'damaged',
      `${story}: they live and die together; restore the folder whole, or start with an empty one`,
    );
}

export function openDataFolder(path: string): DataFolder {
  try {
    makeFolder(path, 0o700);
  } catch (cause) {
    const text = (cause as Error).message;
    throw new AgentError('bad-request', `data folder ${path} can't be made: ${text}`, { cause });
  }
  const lock = takeLock(path);
  let open = true;
  const release = (): void => {
    if (open) lock.close();
    open = false;
  };
  const logDir = join(path, 'log');
  try {
    finishChange(path);
    let node = readNode(path);
    let last: Promise<void> = Promise.resolve();
    const write = (next: (file: NodeFile | null) => NodeFile | null): Promise<void> => {
      const written = last.then(async () => {
        const file = next(node);
        if (file === null) return;
        await writeDurably(join(path, 'node.json'), `${JSON.stringify(file, null, 1)}\n`);
        node = file;
      });
      last = written.catch(() => undefined);
      return written;
    };
    checkTogether({ path, logDir }, node);
    const token = readToken(path);
    return {
      path,
      logDir,
      catalogDir: join(path, 'catalog'),
      contentDir: join(path, 'content'),
      eventsDir: join(path, 'events'),
      incomingDir: join(path, 'incoming'),
      token,
      node: () => node,
      writeNode: (file) => write(() => file),
      changeMember: (next) => write((file) => (file?.state === 'member' ? next(file) : null)),
      release,
    };
  } catch (error) {
    release();
    throw error;
  }
}
