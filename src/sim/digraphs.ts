/**
 * Shapes of directed links between n nodes. A shape is a bit mask over ordered pairs; two shapes
 * that differ only in the names of nodes are the same up to isomorphism, and only the smallest mask
 * of each class is kept where the table would be too large otherwise.
 */
import { assert } from '../base/assert.ts';

export type Shape = number;

/** Bit of the path from one node to another. */
export function pathBit(nodes: number, from: number, to: number): number {
  return from * (nodes - 1) + (to < from ? to : to - 1);
}

export function hasPath(shape: Shape, nodes: number, from: number, to: number): boolean {
  return ((shape >>> pathBit(nodes, from, to)) & 1) === 1;
}

function permutations(items: readonly number[]): number[][] {
  if (items.length === 0) return [[]];
  return items.flatMap((item) =>
    permutations(items.filter((other) => other !== item)).map((rest) => [item, ...rest]),
  );
}

/** Every shape, smallest of its class only. For 5 nodes there are 9,608. */
export function shapesUpToNames(nodes: number): Shape[] {
  const bits = nodes * (nodes - 1);
  assert(bits <= 20, `${nodes} nodes have too many shapes`);
  const orders = permutations(Array.from({ length: nodes }, (_, node) => node));
  const moves = orders.map((order) => {
    const move = new Array<number>(bits);
    for (let from = 0; from < nodes; from++)
      for (let to = 0; to < nodes; to++)
        if (from !== to)
          move[pathBit(nodes, from, to)] =
            1 << pathBit(nodes, order[from] as number, order[to] as number);
    return move;
  });
  const seen = new Uint8Array(2 ** bits);
  const shapes: Shape[] = [];
  for (let shape = 0; shape < seen.length; shape++) {
    if (seen[shape] === 1) continue;
    shapes.push(shape);
    for (const move of moves) {
      let moved = 0;
      for (let bit = 0; bit < bits; bit++) if ((shape >>> bit) & 1) moved |= move[bit] as number;
      seen[moved] = 1;
    }
  }
  return shapes;
}

/** Every shape with names. */
export function allShapes(nodes: number): Shape[] {
  return Array.from({ length: 2 ** (nodes * (nodes - 1)) }, (_, shape) => shape);
}

/** Whether `node` and enough others hear each other to be a majority. */
export function reachesMajority(shape: Shape, nodes: number, node: number): boolean {
  let both = 1;
  for (let other = 0; other < nodes; other++)
    if (other !== node && hasPath(shape, nodes, node, other) && hasPath(shape, nodes, other, node))
      both += 1;
  return both * 2 > nodes;
}

/** As people draw it: who hears whom. */
export function describeShape(shape: Shape, nodes: number): string {
  const cuts: string[] = [];
  for (let from = 0; from < nodes; from++)
    for (let to = 0; to < nodes; to++)
      if (from !== to && !hasPath(shape, nodes, from, to)) cuts.push(`${from}>${to}`);
  return cuts.length === 0 ? 'nothing cut' : `cut ${cuts.join(' ')}`;
}
