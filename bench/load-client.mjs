// A light HTTP load: N connections, each with one request at a time over a raw socket, so that the
// load costs a fraction of what it measures. Runs as a process of its own; takes its task as JSON
// on the command line and prints the result as JSON.
//
// task: { kind, host, port, token, clients, batch, seconds, warmupSeconds, prefix }
// kind `agent`: PUT of one entry, or POST of `batch` of them; `etcd`: a put, or one transaction of
// `batch` puts, through its JSON gateway. The same keys and values for both.
import { connect } from 'node:net';

const task = JSON.parse(process.argv[2] ?? '{}');
const { kind, host, port, token, clients, batch, seconds, warmupSeconds, prefix } = task;

const latenciesMs = [];
const refused = new Map();
let counting = false;
let running = true;
let sequence = 0;
let answered = 0;

const base64 = (text) => Buffer.from(text).toString('base64');
const entryOf = (n) => `{"n":${n},"text":"an entry of the shared index, of a usual size"}`;
const authorization = token === null ? '' : `authorization: Bearer ${token}\r\n`;

const requests = {
  agent: (n) => ['PUT', `/v1/index/knowledge_graph/${prefix}-${n}`, entryOf(n)],
  agentBatch: (n) => {
    const operations = Array.from(
      { length: batch },
      (_, i) => `{"op":"put","key":"${prefix}-${n}-${i}","value":${entryOf(i)}}`,
    );
    return ['POST', '/v1/index/knowledge_graph', `{"operations":[${operations.join(',')}]}`];
  },
  etcd: (n) => {
    const put = `{"key":"${base64(`${prefix}-${n}`)}","value":"${base64(entryOf(n))}"}`;
    return ['POST', '/v3/kv/put', put];
  },
  etcdBatch: (n) => {
    const puts = Array.from({ length: batch }, (_, i) => {
      const key = base64(`${prefix}-${n}-${i}`);
      return `{"requestPut":{"key":"${key}","value":"${base64(entryOf(i))}"}}`;
    });
    return ['POST', '/v3/kv/txn', `{"success":[${puts.join(',')}]}`];
  },
};
const requestOf = requests[batch > 1 ? `${kind}Batch` : kind];

function nextRequest() {
  const [method, path, body] = requestOf(sequence++);
  return (
    `${method} ${path} HTTP/1.1\r\nhost: ${host}:${port}\r\n` +
    `${authorization}content-type: application/json\r\n` +
    `content-length: ${body.length}\r\n\r\n${body}`
  );
}

// An answer carries Content-Length, or is chunked and ends with the empty chunk.
function answerLength(text) {
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) return null;
  const length = /\r\ncontent-length: (\d+)/i.exec(text.slice(0, end + 2));
  if (length) return end + 4 + Number(length[1]);
  const last = text.indexOf('\r\n0\r\n\r\n', end);
  return last < 0 ? null : last + 7;
}

function client() {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, noDelay: true });
    let pending = '';
    let sentMs = 0;
    const send = () => {
      if (!running) return socket.end(resolve);
      sentMs = performance.now();
      socket.write(nextRequest());
    };
    socket.setEncoding('latin1');
    socket.on('connect', send);
    socket.on('error', reject);
    socket.on('data', (chunk) => {
      pending += chunk;
      const length = answerLength(pending);
      if (length === null || pending.length < length) return;
      const status = pending.slice(9, 12);
      if (status === '200') answered += 1;
      if (counting) {
        if (status === '200') latenciesMs.push(performance.now() - sentMs);
        else refused.set(status, (refused.get(status) ?? 0) + 1);
      }
      pending = pending.slice(length);
      send();
    });
  });
}

const all = Promise.all(Array.from({ length: clients }, client));
await new Promise((resolve) => setTimeout(resolve, warmupSeconds * 1000));
counting = true;
const startedMs = performance.now();
await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
counting = false;
const elapsedS = (performance.now() - startedMs) / 1000;
running = false;
await all;

latenciesMs.sort((a, b) => a - b);
const at = (share) => latenciesMs[Math.floor(latenciesMs.length * share)] ?? null;
console.log(
  JSON.stringify({
    perSecond: (latenciesMs.length * batch) / elapsedS,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    /** Of the whole run, warm-up included. */
    writes: answered * batch,
    maxMs: latenciesMs.at(-1) ?? null,
    refused: Object.fromEntries(refused),
    cpuS: process.cpuUsage().user / 1e6 + process.cpuUsage().system / 1e6,
  }),
);
