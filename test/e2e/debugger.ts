/**
 * Ends threads of a running agent from outside, through Node's own debugger, which the agent must
 * have been started with (`--inspect=127.0.0.1:0`): the program is the one that is shipped.
 */

import { once } from 'node:events';
import { readFileSync } from 'node:fs';

const listening = /^Debugger listening on (ws:\S+)$/gm;

interface Told {
  readonly id?: number;
  readonly method?: string;
  readonly params?: { sessionId: string; workerInfo: { title: string } };
}

/** The address that the newest process of this log listens on. */
function addressIn(logFile: string): string {
  const address = [...readFileSync(logFile, 'utf8').matchAll(listening)].at(-1)?.[1];
  if (address === undefined) throw new Error(`no debugger listens in ${logFile}`);
  return address;
}

/** Ends every thread whose title holds the word; how many there were. */
export async function endThreads(logFile: string, word: string): Promise<number> {
  const socket = new WebSocket(addressIn(logFile));
  await once(socket, 'open');
  let lastId = 0;
  const ask = (method: string, params: object = {}): number => {
    lastId += 1;
    socket.send(JSON.stringify({ id: lastId, method, params }));
    return lastId;
  };
  const found: string[] = [];
  const enabled = new Promise<void>((resolve) => {
    socket.addEventListener('message', ({ data }) => {
      const { id, method, params } = JSON.parse(String(data)) as Told;
      if (method === 'NodeWorker.attachedToWorker' && params?.workerInfo.title.includes(word))
        found.push(params.sessionId);
      if (id === 1) resolve();
    });
  });
  ask('NodeWorker.enable', { waitForDebuggerOnStart: false });
  await enabled;
  const end = { id: 1, method: 'Runtime.evaluate', params: { expression: 'process.exit(70)' } };
  for (const sessionId of found)
    ask('NodeWorker.sendMessageToWorker', { sessionId, message: JSON.stringify(end) });
  const closed = once(socket, 'close');
  socket.close();
  await closed;
  return found.length;
}
