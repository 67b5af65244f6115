import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createEmbeddedEngine } from '../../src/content/embedded-engine.ts';
import { type ContentFlock, contentConformance } from './content.ts';

async function openEmbedded(): Promise<ContentFlock> {
  const base = await mkdtemp(join(tmpdir(), 'bellwether-content-'));
  const engines = ['a', 'b', 'c'].map((name) =>
    createEmbeddedEngine(
      {
        report: (event) => {
          throw new Error(JSON.stringify(event));
        },
      },
      {
        dir: join(base, name),
        listen: ['/ip4/127.0.0.1/tcp/0'],
        networkKey: '0123456789abcdef'.repeat(4),
        backoffMsMax: 1000,
      },
    ),
  );
  await Promise.all(engines.map((engine) => engine.start()));
  return {
    engines,
    close: async () => {
      await Promise.all(engines.map((engine) => engine.stop()));
      await rm(base, { recursive: true });
    },
  };
}

contentConformance('embedded', openEmbedded);
