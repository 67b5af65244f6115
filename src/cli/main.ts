/**
 * Entry of the program `bellwether`. It only hands the command line on and ends the process with
 * the code that came back, once everything written has left.
 */
import { processIo } from './io.ts';
import { runProgram } from './program.ts';

// A reader that went away (`bellwether members | head -1`) is no failure of ours.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(0);
});
process.exitCode = await runProgram(process.argv.slice(2), processIo);
