/** Long work that a caller may watch: a bounded list, the oldest ended ones leave first. */
import { randomUUID } from 'node:crypto';
import type { Ms } from '../../base/brand.ts';
import { asAgentError } from '../../base/error.ts';
import type { Task } from '../api.ts';

const tasksMax = 500;

export interface Tasks {
  list(): Task[];
  /** Runs `work` as a task; its end is the task's end. */
  run<T>(
    options: { kind: Task['kind']; bytesTotal: number | null },
    work: (task: { readonly id: string; progress(bytes: number): void }) => Promise<T>,
  ): Promise<T>;
  running(): number;
}

export function createTasks(wallMs: () => Ms): Tasks {
  const tasks = new Map<string, Task>();
  const now = (): string => new Date(wallMs()).toISOString();
  const update = (id: string, change: Partial<Task>): void => {
    const task = tasks.get(id);
    if (task !== undefined) tasks.set(id, { ...task, ...change });
  };

  function makeRoom(): void {
    if (tasks.size < tasksMax) return;
    const ended = [...tasks.values()].find((task) => task.state !== 'running');
    if (ended !== undefined) tasks.delete(ended.id);
  }

  return {
    list: () => [...tasks.values()],
    running: () => [...tasks.values()].filter((task) => task.state === 'running').length,
    run: async ({ kind, bytesTotal }, work) => {
      makeRoom();
      const id = randomUUID();
      tasks.set(id, {
        id,
        kind,
        state: 'running',
        bytesDone: 0,
        bytesTotal,
        startedAt: now(),
        endedAt: null,
        error: null,
        result: null,
      });
      try {
        const result = await work({ id, progress: (bytesDone) => update(id, { bytesDone }) });
        update(id, { state: 'done', endedAt: now(), result });
        return result;
      } catch (thrown) {
        const { code, message } = asAgentError(thrown);
        update(id, { state: 'failed', endedAt: now(), error: `${code}: ${message}` });
        throw thrown;
      }
    },
  };
}
