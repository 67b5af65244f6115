// Writes over HTTP as a caller sees them, the same for every system that is compared: each write is
// its own request on a kept connection, and what counts is the moment of its acknowledgement.
import { setTimeout as wait } from 'node:timers/promises';
import { Agent, request } from 'undici';

const requestMsMax = 5000;
const retryMs = 3;
/** One more write starts this often while nothing has been acknowledged, up to so many. */
const probeEveryMs = 4;
const probesMax = 512;

/** A JSON answer, or null when there is none (yet). */
export async function jsonOf(method, url, body, headers = {}) {
  try {
    const answer = await request(url, { method, body, headers, signal: AbortSignal.timeout(2000) });
    const text = await answer.body.text();
    return answer.statusCode === 200 ? JSON.parse(text) : null;
  } catch {
    // Not up, or gone: the caller asks again until its own deadline.
    return null;
  }
}

/** `write`: how write number n is said (method, path, headers, body). */
export function createHttpWriter(url, write) {
  const agent = new Agent({ connections: probesMax, pipelining: 1 });
  const ackMs = [];
  let next = 1;
  let running = false;
  let lanes = [];

  async function once(n) {
    try {
      const answer = await request(url + write.path(n), {
        method: write.method,
        headers: write.headers,
        body: write.body(n),
        dispatcher: agent,
        signal: AbortSignal.timeout(requestMsMax),
      });
      await answer.body.dump();
      if (answer.statusCode !== 200) return false;
      ackMs.push(performance.now());
      return true;
    } catch {
      // Refused or cut off: what is measured is how long that lasts.
      return false;
    }
  }

  async function lane() {
    while (running) if (!(await once(next++))) await wait(retryMs);
  }

  return {
    /** Writes without pause, `count` at a time. */
    start(count) {
      running = true;
      lanes = Array.from({ length: count }, lane);
    },
    async stop() {
      running = false;
      await Promise.all(lanes);
      await agent.destroy();
    },
    acknowledged: () => ackMs.length,
    /** When the first of the writes that begin from now on was acknowledged. */
    async firstAckFromNow(msMax = 120_000) {
      const startedMs = performance.now();
      let acked = null;
      let open = 0;
      while (acked === null) {
        if (open < probesMax) {
          open += 1;
          void once(next++).then((done) => {
            open -= 1;
            if (done) acked ??= performance.now();
          });
        }
        await wait(probeEveryMs);
        if (performance.now() - startedMs > msMax)
          throw new Error(`no write was acknowledged for ${msMax} ms`);
      }
      return acked;
    },
    longestGapMs(fromMs, toMs) {
      const points = [fromMs, ...ackMs.filter((ms) => ms >= fromMs && ms <= toMs), toMs];
      return Math.max(...points.slice(1).map((ms, i) => ms - points[i]));
    },
  };
}
