/**
 * What the mesh can do for itself when it hangs badly, all at once instead of when its turn comes:
 * dial whom a link is wanted to, compare records with a few peers (which brings addresses of others
 * with it), and open gossip streams anew. It tells what it did.
 */
import type { MeshHealing } from './api.ts';
import type { Gossiper } from './gossip.ts';
import type { Reconnector } from './reconnector.ts';
import type { Upkeep } from './upkeep.ts';

export async function healMesh(parts: {
  readonly reconnector: Pick<Reconnector, 'hurryAll'>;
  readonly upkeep: Pick<Upkeep, 'mendAll'>;
  readonly gossip: Pick<Gossiper, 'catchUp'>;
}): Promise<MeshHealing> {
  const redialled = parts.reconnector.hurryAll();
  const [rejoined, asked] = await Promise.all([parts.upkeep.mendAll(), parts.gossip.catchUp()]);
  return { redialled, asked, rejoined };
}
