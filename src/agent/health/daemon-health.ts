/**
 * A daemon's view as its health is judged by: which of them this role needs, what the adapter found
 * and in which phase it is. Names of problems are the adapters'; one that has no price of its own
 * counts as a failed check.
 */
import type { Ms } from '../../base/brand.ts';
import type { DaemonType, DaemonView } from '../../daemons/api.ts';
import { advanceProgress, type DaemonPhase, type Progress } from '../../health/daemon-score.ts';
import { deductions, type Finding, type ReasonCode } from '../../health/score.ts';
import type { Role } from '../../wire/member.ts';
import type { DaemonHealth } from './watch.ts';

/** Whether a node of this role should have this daemon; lotus only where it is configured. */
export function isRequired(type: DaemonType, role: Role, modes: Record<DaemonType, string>) {
  if (modes[type] === 'off') return false;
  if (type === 'ipfs' || type === 'lotus') return true;
  if (role === 'leecher' || role === 'witness') return false;
  if (type === 'ipfs_cluster_service') return true;
  return role === 'worker' && modes.ipfs_cluster_service === 'off';
}

const isPrice = (code: string): code is ReasonCode => Object.hasOwn(deductions, code);

function findingOf({ code, text }: { code: string; text: string }): Finding {
  const priced = `daemon-${code}`;
  return isPrice(priced)
    ? { code: priced, detail: text }
    : { code: 'daemon-check-failed', detail: `${code}: ${text}` };
}

const phases: readonly DaemonPhase[] = ['idle', 'downloading', 'following'];

export interface DaemonJudge {
  /** In the order of the views. */
  judge(views: readonly DaemonView[], role: Role, nowMs: Ms): DaemonHealth[];
}

/** Remembers when each daemon's progress last moved. */
export function createDaemonJudge(): DaemonJudge {
  const progresses = new Map<DaemonType, Progress>();

  function progressOf(view: DaemonView, nowMs: Ms): Progress | null {
    const { finding, type } = view;
    const phase = phases.find((one) => one === finding?.facts.phase);
    if (finding?.progress == null || phase === undefined || view.state !== 'running') {
      progresses.delete(type);
      return null;
    }
    const next = advanceProgress(
      progresses.get(type) ?? null,
      { phase, value: finding.progress },
      nowMs,
    );
    progresses.set(type, next);
    return next;
  }

  return {
    judge: (views, role, nowMs) => {
      const modes = Object.fromEntries(views.map(({ type, mode }) => [type, mode])) as Record<
        DaemonType,
        string
      >;
      return views
        .filter(({ mode }) => mode !== 'off')
        .map((view) => {
          const { type, state, mode, finding, checkError, lastFailure } = view;
          const findings = (finding?.problems ?? []).map(findingOf);
          if (state === 'running' && checkError !== null)
            findings.push({ code: 'daemon-check-failed', detail: checkError });
          return {
            mode,
            version: finding?.version ?? null,
            judged: view.desired === 'started' || mode === 'external',
            facts: {
              type,
              state,
              detail: lastFailure?.detail ?? checkError ?? `it is ${state}`,
              required: isRequired(type, role, modes),
              progress: progressOf(view, nowMs),
              findings,
            },
          };
        });
    },
  };
}
