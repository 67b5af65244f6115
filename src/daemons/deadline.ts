/** A deadline around a foreign answer, which also ends work that does not listen to its signal. */
import type { Ms } from '../base/brand.ts';
import { AgentError } from '../base/error.ts';

export async function withDeadline<T>(
  ms: Ms,
  what: string,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const aborter = new AbortController();
  let timer: NodeJS.Timeout | null = null;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new AgentError('timeout', `${what}: no answer within ${Math.round(ms)} ms`));
      aborter.abort();
    }, ms);
  });
  try {
    return await Promise.race([work(aborter.signal), late]);
  } finally {
    if (timer !== null) clearTimeout(timer);
  }
}
