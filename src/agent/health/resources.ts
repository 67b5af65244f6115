/**
 * How this machine is used, read when somebody asks. CPU use is the share between two looks, at
 * least a second apart; the first look has nothing to compare with and answers null.
 */
import { statfs } from 'node:fs/promises';
import { cpus, freemem, loadavg, totalmem } from 'node:os';
import type { Resources } from '../../wire/health-record.ts';
import { createGpuLook } from './gpu.ts';

const lookMsMin = 1000;

const percent = (part: number): number => Math.round(Math.min(1, Math.max(0, part)) * 1000) / 10;

interface CpuTimes {
  readonly atMs: number;
  readonly busy: number;
  readonly total: number;
}

function cpuTimes(): CpuTimes {
  let idle = 0;
  let total = 0;
  for (const { times } of cpus()) {
    idle += times.idle;
    total += times.user + times.nice + times.sys + times.idle + times.irq;
  }
  return { atMs: performance.now(), busy: total - idle, total };
}

export function createResources(dataFolder: string): () => Promise<Resources> {
  let last = cpuTimes();
  let cpuPercent: number | null = null;
  const gpus = createGpuLook();
  return async () => {
    if (performance.now() - last.atMs >= lookMsMin) {
      const next = cpuTimes();
      const total = next.total - last.total;
      cpuPercent = total > 0 ? percent((next.busy - last.busy) / total) : null;
      last = next;
    }
    const disk = await statfs(dataFolder);
    const [one = 0, five = 0, fifteen = 0] = loadavg();
    return {
      cpuPercent,
      memoryPercent: percent(1 - freemem() / totalmem()),
      diskPercent: disk.blocks > 0 ? percent(1 - disk.bavail / disk.blocks) : null,
      diskFreeBytes: disk.bavail * disk.bsize,
      load: [one, five, fifteen],
      gpu: gpus.read(),
    };
  };
}
