/** Entry of the bundled simulator: arguments in, lines and an exit code out. */
import { runSimulator } from './command.ts';

process.exitCode = runSimulator(process.argv.slice(2), {
  print: (line) => process.stdout.write(`${line}\n`),
  nowMs: () => Date.now(),
});
