/** Runs system programs (ip, iptables, mount ...) and tells what they said when they fail. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Resolves with standard output; a failure names the command and what it printed. */
export async function sh(command: string, ...args: readonly string[]): Promise<string> {
  try {
    return (await run(command, [...args])).stdout;
  } catch (thrown) {
    const { stderr = '', message } = thrown as Error & { stderr?: string };
    throw new Error(`${command} ${args.join(' ')}: ${stderr.trim() || message}`);
  }
}

/** The words of a text as a command. */
export const line = (text: string): Promise<string> => {
  const [command = '', ...args] = text.split(' ');
  return sh(command, ...args);
};
