/**
 * Adding content: the blocks are stored and fsynced here first, then one entry makes the pin and
 * its metadata. An answer means that both are true; if the entry can't be committed, the caller is
 * told so and the blocks stay, because nothing has licensed their deletion.
 */
import { AgentError } from '../../base/error.ts';
import type { AddEntry, AddedItem, ContentEngine } from '../../content/api.ts';
import type { Command, CommandResult } from '../../wire/command.ts';
import type { Tasks } from './tasks.ts';

const proposeTimeoutMs = 30_000;
/** Adds that store blocks at the same time. */
const addsMax = 16;

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

const typesByExtension: Readonly<Record<string, string>> = {
  txt: 'text/plain',
  md: 'text/markdown',
  json: 'application/json',
  yaml: 'application/yaml',
  yml: 'application/yaml',
  html: 'text/html',
  csv: 'text/csv',
  pdf: 'application/pdf',
  png: 'image/png',
  jpg: 'image/jpeg',
  jpeg: 'image/jpeg',
  gif: 'image/gif',
  svg: 'image/svg+xml',
  mp3: 'audio/mpeg',
  mp4: 'video/mp4',
  car: 'application/vnd.ipld.car',
  tar: 'application/x-tar',
  gz: 'application/gzip',
  zip: 'application/zip',
};

/** Media type by the name's extension; a folder is what IPFS calls a directory. */
function typeOf(name: string, directory: boolean): string {
  if (directory) return 'inode/directory';
  const extension = name.slice(name.lastIndexOf('.') + 1).toLowerCase();
  return typesByExtension[extension] ?? 'application/octet-stream';
}

export function createAdding(deps: AddingDeps): Adding {
  const { engine, tasks } = deps;
  let active = 0;

  function command(item: AddedItem, options: AddOptions, directory: boolean): Command {
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
        {
          type: 'index.put',
          index: 'content_metadata',
          key: item.cid,
          value: {
            name,
            bytes: item.bytes,
            files: item.files,
            blocks: item.blocks,
            type: typeOf(name, directory),
            labels,
            addedBy: deps.node,
            addedAt: new Date(deps.wallMs()).toISOString(),
          },
          expectedVersion: null,
        },
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
          let directory = false;
          const seen = watch(entries, (entry) => {
            directory ||= entry.content === null || entry.path.includes('/');
          });
          const item = await engine.add(seen, task.progress);
          const result = await deps.propose(command(item, options, directory || item.files > 1), {
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

async function* watch(
  entries: AsyncIterable<AddEntry>,
  see: (entry: AddEntry) => void,
): AsyncIterable<AddEntry> {
  for await (const entry of entries) {
    see(entry);
    yield entry;
  }
}
