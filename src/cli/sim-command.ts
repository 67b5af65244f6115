/**
 * `sim`: the simulator runs from a checkout, where its sources are; elsewhere the command says how
 * to get there.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Command } from 'commander';
import { exitCodes } from './exit-code.ts';
import type { Io } from './io.ts';
import type { Run } from './program.ts';

/** The simulator's script beside this program, if this is a checkout. */
function scriptNear(file: string): string | null {
  for (let folder = dirname(file), up = 0; up < 4; folder = dirname(folder), up++) {
    const script = join(folder, 'scripts/sim.mjs');
    if (existsSync(script) && existsSync(join(folder, 'src/sim'))) return script;
  }
  return null;
}

export function addSimCommand(program: Command, io: Io, exit: Run): void {
  program
    .command('sim')
    .description('the simulator of elections and faults (in a checkout)')
    .argument('[options...]', 'its own options, such as --seeds 100 or --list-bugs')
    .allowUnknownOption()
    .helpOption(false)
    .action(async (_: unknown, __: unknown, command: Command) => {
      const script = scriptNear(process.argv[1] ?? '');
      if (script === null) {
        io.err(
          'bellwether: the simulator runs from a checkout of the sources: ' +
            'npm run sim -- --seeds 100\n',
        );
        return exit(exitCodes['not built']);
      }
      const child = spawn(process.execPath, [script, ...command.args], { stdio: 'inherit' });
      const code = await new Promise<number | null>((resolve, reject) => {
        child.on('error', reject);
        child.on('exit', resolve);
      });
      return exit(code ?? exitCodes.failure);
    });
}
