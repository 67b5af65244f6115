/**
 * Adding content: the blocks are stored and fsynced here first, then one entry makes the pin and
 * its metadata. An answer means that both are true; if the entry can't be committed, the caller is
 * told so and the blocks stay, because nothing has licensed their deletion.
 */
import { AgentError } from '../../base/error.ts';
import type { AddEntry, AddedItem, ContentEngine } from '../../content/api.ts';
import { metadataCommand, pathsMax } from '../../plan/metadata.ts';
import type { Command, CommandResult } from '../../wire/command.ts';
import type { Tasks } from './tasks.ts';

const proposeTimeoutMs = 30_000;
/** Adds that store blocks at the same time. */
const addsMax = 16;
/** Bytes of a file's beginning that its metadata is made from. */
const headBytesMax = 32 * 1024;

export interface AddOptions {
  readonly name: string;
  readonly bytesTotal: number | null;
  readonly min: number;
  readonly max: number;
  readonly labels: Record<string, string>;
}

export interface AddingDeps {
  readonly engine: ContentEngine;
  readonly tasks: Tasks;
  readonly node: string;
  readonly wallMs: () => number;
  readonly propose: (
    command: Command,
    options: { idempotency: null; timeoutMs: number },
  ) => Promise<CommandResult>;
}

export interface Adding {
  add(
    entries: AsyncIterable<AddEntry>,
    options: AddOptions,
  ): Promise<{ task: string; item: AddedItem; result: CommandResult }>;
  active(): number;
}

export function createAdding(deps: AddingDeps): Adding {
  const { engine, tasks } = deps;
  let active = 0;

  function command(item: AddedItem, options: AddOptions, seen: Seen): Command {
    const { name, min, max, labels } = options;
    return {
      type: 'batch',
      commands: [
        {
          type: 'pin.put',
          cid: item.cid,
          name,
          bytes: item.bytes,
          blocks: item.blocks,
          min,
          max,
          labels,
          expiresAtMs: null,
          expectedVersion: null,
        },
        metadataCommand({
          cid: item.cid,
          name,
          bytes: item.bytes,
          blocks: item.blocks,
          files: item.files,
          directory: seen.directory || item.files > 1,
          labels,
          addedAtMs: deps.wallMs(),
          addedBy: deps.node,
          head: seen.directory ? null : Buffer.concat(seen.head),
          paths: seen.paths,
        }),
      ],
    };
  }

  return {
    active: () => active,
    add: async (entries, options) => {
      if (active >= addsMax)
        throw new AgentError('overloaded', `${addsMax} adds are running already; try later`);
      if (options.min > options.max)
        throw new AgentError('bad-request', `min: ${options.min} is above max ${options.max}`);
      active += 1;
      try {
        return await tasks.run({ kind: 'add', bytesTotal: options.bytesTotal }, async (task) => {
          const seen: Seen = { directory: false, head: [], headBytes: 0, paths: [] };
          const item = await engine.add(watch(entries, seen), task.progress);
          const result = await deps.propose(command(item, options, seen), {
            idempotency: null,
            timeoutMs: proposeTimeoutMs,
          });
          return { task: task.id, item, result };
        });
      } finally {
        active -= 1;
      }
    },
  };
}

/** What passed by on its way into the engine, for the metadata. */
interface Seen {
  directory: boolean;
  readonly head: Uint8Array[];
  headBytes: number;
  readonly paths: string[];
}

async function* watch(entries: AsyncIterable<AddEntry>, seen: Seen): AsyncIterable<AddEntry> {
  for await (const entry of entries) {
    seen.directory ||= entry.content === null || entry.path.includes('/');
    if (seen.paths.length < pathsMax) seen.paths.push(entry.path);
    const { content } = entry;
    if (content === null || seen.paths.length > 1) yield entry;
    else yield { path: entry.path, content: headOf(content, seen) };
  }
}

async function* headOf(content: AsyncIterable<Uint8Array>, seen: Seen): AsyncIterable<Uint8Array> {
  for await (const chunk of content) {
    const room = headBytesMax - seen.headBytes;
    if (room > 0) {
      // A copy: the chunk's buffer goes on to the engine's thread.
      seen.head.push(chunk.slice(0, room));
      seen.headBytes += Math.min(room, chunk.length);
    }
    yield chunk;
  }
}
