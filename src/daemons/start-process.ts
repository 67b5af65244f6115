/**
 * One start of a managed daemon: its binary, its ports, its adapter's preparations, its limits, and
 * then the process. Whatever fails throws, and nothing is left running.
 */
import { mkdirSync } from 'node:fs';
import type { Ms } from '../base/brand.ts';
import {
  type DaemonAdapter,
  type DaemonType,
  daemonTypes,
  type Endpoint,
  type Place,
} from './api.ts';
import { findBinary } from './binaries.ts';
import { CauseError } from './cause.ts';
import { withDeadline } from './deadline.ts';
import { limitsOf, machineOf } from './limits.ts';
import type { DaemonOptions } from './options.ts';
import { createPlace } from './place.ts';
import { choosePorts } from './ports.ts';
import { type DaemonProcess, launch, noteFor, readNote } from './process.ts';

const prepareMsMax: Ms = 90_000;

export interface StartParts {
  readonly adapter: DaemonAdapter;
  readonly options: DaemonOptions;
  readonly runFolder: string;
  readonly endpointOf: (type: DaemonType) => Endpoint | null;
  readonly claimed: (port: number) => boolean;
}

export interface Started {
  readonly process: DaemonProcess;
  readonly place: Place;
  readonly notes: readonly string[];
  readonly unenforced: readonly string[];
}

const same = (a: Readonly<Record<string, number>>, b: Readonly<Record<string, number>>): boolean =>
  JSON.stringify(Object.entries(a).sort()) === JSON.stringify(Object.entries(b).sort());

export async function startProcess(parts: StartParts, signal: AbortSignal): Promise<Started> {
  const { adapter, options, runFolder } = parts;
  mkdirSync(runFolder, { recursive: true, mode: 0o700 });
  const binary = findBinary(adapter.binaries, options.binary, process.env);
  const wanted = { ...adapter.ports, ...options.ports };
  const last = readNote(runFolder);
  const { ports, notes } = await choosePorts({
    title: adapter.title,
    wanted,
    udp: adapter.udpPorts ?? [],
    last: last !== null && same(last.wanted, wanted) ? last.ports : null,
    claimed: parts.claimed,
    isOrphan: ({ argv }) => last !== null && argv.join('\0') === last.argv.join('\0'),
  });
  const place = createPlace({ ...parts, binary, ports });
  const prepared = await withDeadline(prepareMsMax, `preparing ${adapter.title}`, (late) =>
    adapter.prepare(place, AbortSignal.any([signal, late])),
  );
  if (signal.aborted) throw new CauseError('failed', 'the agent is stopping');
  const spread = daemonTypes.indexOf(adapter.type);
  const limits = limitsOf(options.limits ?? {}, machineOf(process.env), spread);
  const process_ = await launch({
    folder: runFolder,
    note: noteFor([binary, ...prepared.args], ports, wanted),
    ...limits,
    env: { ...limits.env, ...prepared.env },
  });
  return { process: process_, place, notes, unenforced: limits.unenforced };
}
