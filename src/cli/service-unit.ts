/**
 * The systemd service that `join --service` installs: it runs the agent of one data folder with the
 * options given to `join`. Where systemd doesn't run this says so; the node is certified by then.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { ExitError } from './exit-code.ts';
import type { Io } from './io.ts';

export interface Service {
  readonly name: string;
  readonly data: string;
  /** Further options of `agent`, by their camelCase names. */
  readonly options: Readonly<Record<string, unknown>>;
}

const flagOf = (name: string): string =>
  `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

const quoted = (word: string): string =>
  /^[\w@%+=:,./-]+$/.test(word) ? word : `"${word.replace(/(["\\])/g, '\\$1')}"`;

/** The arguments of `agent` for this service. */
function agentArguments({ data, options }: Service): string[] {
  const given = Object.entries(options).flatMap(([name, value]) =>
    value === true ? [flagOf(name)] : [flagOf(name), String(value)],
  );
  return ['agent', '--data', data, ...given];
}

export function unitText(service: Service, program: readonly string[]): string {
  const command = [...program, ...agentArguments(service)].map(quoted).join(' ');
  return `[Unit]
Description=Bellwether agent ${service.name}
Wants=network-online.target
After=network-online.target

[Service]
ExecStart=${command}
Restart=on-failure
RestartSec=2
TimeoutStopSec=20
KillMode=mixed

[Install]
WantedBy=multi-user.target
`;
}

export function installService(service: Service, io: Io): void {
  const unit = `bellwether-${service.name}.service`;
  const start = `bellwether ${agentArguments(service).map(quoted).join(' ')}`;
  if (!existsSync('/run/systemd/system'))
    throw new ExitError(
      'failure',
      `systemd does not run on this machine, so there is no service; ${service.name} has joined, ` +
        `start it with: ${start}`,
    );
  const path = `/etc/systemd/system/${unit}`;
  const program = [process.execPath, process.argv[1] ?? ''];
  try {
    writeFileSync(path, unitText(service, program), { mode: 0o644 });
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new ExitError(
      'failure',
      `the service can't be installed: ${why}; start it with: ${start}`,
      {
        cause,
      },
    );
  }
  for (const args of [['daemon-reload'], ['enable', '--now', unit]]) {
    const { status, stderr } = spawnSync('systemctl', args, { encoding: 'utf8' });
    if (status !== 0)
      throw new ExitError('failure', `systemctl ${args.join(' ')} failed: ${stderr.trim()}`);
  }
  io.out(`${unit} runs; its log: journalctl -u ${unit}\n`);
}
