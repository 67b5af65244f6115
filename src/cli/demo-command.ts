/**
 * `demo`: checks what the command line says, then runs five agents on this machine, either until
 * Ctrl-C or through a script that ends by itself.
 */
import type { Command } from 'commander';
import { tellError } from './connection.ts';
import { ExitError } from './exit-code.ts';
import type { Io } from './io.ts';
import type { Run } from './program.ts';

export interface DemoOptions {
  readonly files: string;
  /** Folder that keeps the data for the next start; null: a new one, removed at the end. */
  readonly keep: string | null;
  readonly json: boolean;
  /** Real kubo and ipfs-cluster on every node. */
  readonly daemons: boolean;
}

export function addDemoCommand(program: Command, io: Io, exit: Run): void {
  program
    .command('demo')
    .description('five agents on this machine: two masters, two workers, one leecher')
    .option('--files <path>', 'file or folder to replicate', 'docs')
    .option('--daemons', 'with real kubo and ipfs-cluster on every node')
    .option('--keep <folder>', 'keep the data there for the next start')
    .option(
      '--script <name>',
      "run a script instead of staying up; there are 'failover' and 'daemons'",
    )
    .option('--json', 'answer as JSON: the last line on standard output is one object')
    .action(async (given: Record<string, string | boolean | undefined>) => {
      const options: DemoOptions = {
        files: String(given.files),
        keep: typeof given.keep === 'string' ? given.keep : null,
        json: given.json === true,
        daemons: given.daemons === true,
      };
      try {
        const known = given.script === 'failover' || given.script === 'daemons';
        if (given.script !== undefined && !known)
          throw new ExitError(
            'usage',
            `--script: got '${given.script}'. It takes: failover, daemons`,
          );
        if (given.script === 'daemons') {
          const { runDaemonsScript } = await import('./demo-daemons.ts');
          return exit(await runDaemonsScript(options, io));
        }
        if (given.script === undefined) {
          const { runDemo } = await import('./demo.ts');
          return exit(await runDemo(options, io));
        }
        const { runFailoverScript } = await import('./demo-failover.ts');
        return exit(await runFailoverScript(options, io));
      } catch (thrown) {
        return exit(tellError(thrown, io, options.json));
      }
    });
}
