/**
 * Entry of the program `bellwether`. It runs on any Node from 20 on, finds the Node 24 that the
 * package brings along if it isn't run by one already, and hands the command line on. Nothing is
 * imported here that an older Node could not load.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';

const nodeMajorMin = 24;

// The log's fsync shares libuv's threads with every file operation of the content thread. Four, the
// default, could all be busy there.
process.env.UV_THREADPOOL_SIZE ??= '16';

// Loading the program must not size the nursery of each thread for life: 20 MB in all. An agent
// that has started lets it grow again with its work.
setFlagsFromString('--semi-space-growth-factor=1');

/**
 * Two things of an agent's are read once, when a process starts, so it starts itself anew in place,
 * under the same process id. glibc stops giving large buffers back to the system after the first
 * were freed: an agent that served a file of 1 GB then kept 1 GB; with a fixed threshold it keeps
 * nothing. And Node takes compiled code, which the build keeps beside the bundle, from a cache: a
 * quarter less to do in a start.
 */
function startAnew(): void {
  const { env, execPath, execArgv, argv, platform } = process;
  const isSet = env.MALLOC_MMAP_THRESHOLD_ !== undefined;
  const runsAgent = argv[2] === 'agent' || argv[2] === 'join';
  if (isSet || platform !== 'linux' || !runsAgent || !process.execve) return;
  const cache = fileURLToPath(new URL('cache', import.meta.url));
  const compiled = { NODE_COMPILE_CACHE: cache, NODE_COMPILE_CACHE_PORTABLE: '1' };
  const settings = {
    ...(existsSync(cache) ? compiled : {}),
    ...env,
    MALLOC_MMAP_THRESHOLD_: '131072',
  };
  process.execve(execPath, [execPath, ...execArgv, ...argv.slice(1)], settings);
}

/** The Node of the package `node`, beside the bundle or the sources. */
function newerNode(): string | null {
  const places = ['../node_modules/node/bin/node', '../../node_modules/node/bin/node'];
  // Installed as a dependency, the package lies beside ours.
  places.push('../../node/bin/node');
  const paths = places.map((place) => fileURLToPath(new URL(place, import.meta.url)));
  return paths.find((path) => existsSync(path)) ?? null;
}

/** Runs the same command line by another Node and ends as it ends. */
async function runBy(node: string): Promise<void> {
  const { spawn } = await import('node:child_process');
  const child = spawn(node, process.argv.slice(1), { stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(signal, () => {
      // Ctrl-C reaches both of us; a second one would tell the child to end on the spot.
      if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal);
    });
  child.on('error', (error) => {
    process.stderr.write(`bellwether: ${node} can't be run: ${error.message}\n`);
    process.exitCode = 1;
  });
  child.on('exit', (code) => {
    process.exitCode = code ?? 1;
  });
}

async function run(): Promise<void> {
  const [{ processIo }, { runProgram }] = await Promise.all([
    import('./io.ts'),
    import('./program.ts'),
  ]);
  // A reader that went away (`bellwether members | head -1`) is no failure of ours.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit(0);
  });
  process.exitCode = await runProgram(process.argv.slice(2), processIo);
}

const [major = 0] = process.versions.node.split('.').map(Number);
const other = major < nodeMajorMin ? newerNode() : null;
if (major >= nodeMajorMin) {
  startAnew();
  await run();
} else if (other !== null) await runBy(other);
else {
  process.stderr.write(
    `bellwether: it needs Node ${nodeMajorMin}; this is ${process.version}, and the package ` +
      "'node' is not installed beside it: npm install\n",
  );
  process.exitCode = 1;
}
