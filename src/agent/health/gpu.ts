/**
 * The machine's GPUs as `nvidia-smi` tells them. Asked seldom, with a deadline, and never again by
 * this process where there is no such program.
 */
import { execFile } from 'node:child_process';
import type { Ms } from '../../base/brand.ts';
import type { Gpu } from '../../wire/health-record.ts';

const askAgainMs: Ms = 60_000;
const deadlineMs: Ms = 3000;
const devicesMax = 16;
const query = [
  '--query-gpu=name,memory.total,memory.free,memory.used',
  '--format=csv,noheader,nounits',
];
const mebibyte = 1024 * 1024;

/** `NVIDIA A100, 40960, 40000, 960` per line, sizes in MiB; null if it is something else. */
export function gpusOf(text: string): Gpu | null {
  const devices = text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const [used, free, total, ...name] = line.split(',').reverse();
      const [memory_total, memory_free, memory_used] = [total, free, used].map(
        (field) => Number.parseInt(field ?? '', 10) * mebibyte,
      );
      return { name: name.reverse().join(',').trim(), memory_total, memory_free, memory_used };
    });
  const whole = devices.filter(
    (one): one is Gpu['gpu_devices'][number] =>
      one.name !== '' &&
      [one.memory_total, one.memory_free, one.memory_used].every(Number.isFinite),
  );
  if (whole.length !== devices.length || whole.length === 0) return null;
  return {
    gpu_count: whole.length,
    gpu_devices: whole
      .slice(0, devicesMax)
      .map((one) => ({ ...one, name: one.name.slice(0, 128) })),
  };
}

export interface GpuLook {
  /** From the last look, which is made anew beside when it is old. */
  read(): Gpu | null;
}

export function createGpuLook(program = 'nvidia-smi'): GpuLook {
  let gpu: Gpu | null = null;
  let dueMs = 0;
  let absent = false;
  return {
    read: () => {
      if (!absent && performance.now() >= dueMs) {
        dueMs = performance.now() + askAgainMs;
        execFile(program, query, { timeout: deadlineMs, killSignal: 'SIGKILL' }, (error, out) => {
          absent = error !== null && 'code' in error && error.code === 'ENOENT';
          gpu = error === null ? gpusOf(out) : null;
        });
      }
      return gpu;
    },
  };
}
