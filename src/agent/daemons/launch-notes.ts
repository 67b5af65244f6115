/**
 * What each cluster daemon was last started with, kept beside it, so that an agent that adopts it
 * later knows whether the catalog has moved on. It holds no secret.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import {
  type FederationView,
  peerAddresses,
  trustedPeers,
} from '../../daemons/cluster/federation.ts';

const launchSchema = z.object({ trusted: z.string(), addresses: z.string() });
export type LaunchNote = z.infer<typeof launchSchema>;

export const launchOf = (view: FederationView, own: string): LaunchNote => ({
  trusted: trustedPeers(view).sort().join(' '),
  addresses: peerAddresses(view, own).sort().join(' '),
});

export interface LaunchNotes {
  read(type: string): LaunchNote | null;
  write(type: string, note: LaunchNote): void;
}

export function createLaunchNotes(dataFolder: string): LaunchNotes {
  const fileOf = (type: string): string => join(dataFolder, 'daemons', type, 'federation.json');
  return {
    read: (type) => {
      const file = fileOf(type);
      if (!existsSync(file)) return null;
      const parsed = launchSchema.safeParse(JSON.parse(readFileSync(file, 'utf8')));
      return parsed.success ? parsed.data : null;
    },
    write: (type, note) => {
      mkdirSync(join(dataFolder, 'daemons', type), { recursive: true, mode: 0o700 });
      writeFileSync(fileOf(type), `${JSON.stringify(note)}\n`);
    },
  };
}
