/**
 * A Filecoin node over real HTTP with a token: every method of the recorded contract answers with
 * its example, and a test changes what it is about. Without the token it refuses as Lotus does.
 */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';

export const rpcToken = 'eyJhbGciOiJIUzI1NiJ9.eyJBbGxvdyI6WyJyZWFkIl19.sig';

const fixtures = join(import.meta.dirname, '../../../fixtures/lotus');

type Answer = { result: unknown } | { error: { code: number; message: string } };
export type Answering = Answer | ((params: unknown[]) => Answer);

export const missing: Answer = { error: { code: -32601, message: 'Method not found' } };
export const refused: Answer = { error: { code: -32003, message: 'missing permission' } };

/** Every method of the contract with its example. */
export function lotusMethods(): Map<string, Answering> {
  const list = JSON.parse(readFileSync(join(fixtures, 'lotus-rpc.json'), 'utf8')) as {
    method: string;
    result_example: unknown;
  }[];
  return new Map(list.map(({ method, result_example }) => [method, { result: result_example }]));
}

/** What a real Forest answered offline, word for word; the first answer of each method. */
export function forestMethods(): Map<string, Answering> {
  const list = JSON.parse(readFileSync(join(fixtures, 'forest-rpc.json'), 'utf8')) as {
    method: string;
    answer: Answer;
    token?: null;
  }[];
  return new Map(
    list.filter(({ token }) => token !== null).map(({ method, answer }) => [method, answer]),
  );
}

export interface RpcServer {
  readonly url: string;
  readonly methods: Map<string, Answering>;
  /** Methods that were asked, in order. */
  readonly asked: string[];
  /** null: answers never. */
  status: number | null;
  close(): Promise<void>;
}

export async function startRpcServer(methods: Map<string, Answering>): Promise<RpcServer> {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      if (served.status === null) return;
      const authorized = request.headers.authorization === `Bearer ${rpcToken}`;
      const status = authorized ? served.status : 401;
      if (status !== 200 || request.method !== 'POST' || request.url !== '/rpc/v1') {
        response.writeHead(status === 200 ? 404 : status).end('no');
        return;
      }
      const { id, method, params } = JSON.parse(Buffer.concat(chunks).toString()) as {
        id: number;
        method: string;
        params: unknown[];
      };
      asked.push(method);
      const answering = methods.get(method) ?? missing;
      const answer = typeof answering === 'function' ? answering(params) : answering;
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ jsonrpc: '2.0', id, ...answer }));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  const served: RpcServer = {
    url: `http://127.0.0.1:${port}`,
    methods,
    asked,
    status: 200,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return served;
}
