/** The blocks that this node holds of some pins, for a backup. */
import type { CidText } from '../../base/brand.ts';
import { AgentError } from '../../base/error.ts';
import type { ContentEngine } from '../../content/api.ts';

export async function exportBlocks(engine: ContentEngine, cids: readonly CidText[]) {
  if (engine.exportCar === undefined)
    throw new AgentError(
      'not-built',
      `the engine ${engine.name} keeps its blocks itself: back them up with its own tools`,
    );
  const here = new Set(
    (await engine.pins()).filter(({ state }) => state === 'pinned').map(({ cid }) => cid),
  );
  const held = cids.filter((cid) => here.has(cid));
  return { held, car: engine.exportCar(held) };
}
