/** Puts the parts of recovery that need a running agent together. */
import type { Recovery } from './api.ts';
import { type BackupDeps, openBackup } from './backup.ts';

export function createRecovery(deps: BackupDeps): Recovery {
  return { backup: () => openBackup(deps) };
}
