/**
 * At most so many pieces of work at once, in the order they came. The disk lanes are the reason:
 * libuv's four threads serve the whole process, and the consensus log's fsync must always find one
 * free, so content uses half of them at most.
 */
export interface Lanes {
  run<T>(work: () => Promise<T>): Promise<T>;
  /** Work running or waiting. */
  readonly load: number;
}

export function createLanes(widthMax: number): Lanes {
  const waiting: (() => void)[] = [];
  let running = 0;

  async function run<T>(work: () => Promise<T>): Promise<T> {
    if (running < widthMax) running += 1;
    else await new Promise<void>((resolve) => waiting.push(resolve)); // inherits the lane
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next === undefined) running -= 1;
      else next();
    }
  }

  return {
    run,
    get load() {
      return running + waiting.length;
    },
  };
}
