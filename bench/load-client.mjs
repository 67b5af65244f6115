// A light HTTP load: N connections, each with one request at a time over a raw socket, so that the
// load costs a fraction of what it measures. Runs as a process of its own; takes its task as JSON
// on the command line and prints the result as JSON.
//
// task: { host, port, token, clients, seconds, warmupSeconds, prefix }
import { connect } from 'node:net';

const task = JSON.parse(process.argv[2] ?? '{}');
const { host, port, token, clients, seconds, warmupSeconds, prefix } = task;

const latenciesMs = [];
const refused = new Map();
let counting = false;
let running = true;
let sequence = 0;

function nextRequest() {
  const n = sequence++;
  const body = `{"n":${n},"text":"an entry of the shared index, of a usual size"}`;
  return (
    `PUT /v1/index/knowledge_graph/${prefix}-${n} HTTP/1.1\r\nhost: ${host}:${port}\r\n` +
    `authorization: Bearer ${token}\r\ncontent-type: application/json\r\n` +
    `content-length: ${body.length}\r\n\r\n${body}`
  );
}

// Answers of the status port carry Content-Length, so a message ends where its header says.
function answerLength(text) {
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) return null;
  const length = /\r\ncontent-length: (\d+)/i.exec(text.slice(0, end + 2));
  if (!length) throw new Error(`an answer without Content-Length: ${text.slice(0, 200)}`);
  return end + 4 + Number(length[1]);
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
    perSecond: latenciesMs.length / elapsedS,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    maxMs: latenciesMs.at(-1) ?? null,
    refused: Object.fromEntries(refused),
    cpuS: process.cpuUsage().user / 1e6 + process.cpuUsage().system / 1e6,
  }),
);
