/** What nvidia-smi prints, and what is done where it prints something else or is not there. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { createGpuLook, gpusOf } from '../../../../src/agent/health/gpu.ts';

const mebibyte = 1024 * 1024;
const a100 = {
  name: 'NVIDIA A100-PCIE-40GB',
  memory_total: 40960 * mebibyte,
  memory_free: 40000 * mebibyte,
  memory_used: 960 * mebibyte,
};

test('two devices', () => {
  const line = 'NVIDIA A100-PCIE-40GB, 40960, 40000, 960\n';
  expect(gpusOf(line + line)).toEqual({ gpu_count: 2, gpu_devices: [a100, a100] });
});

test.each([
  ['nothing', ''],
  ['a sentence', 'NVIDIA-SMI has failed because it could not communicate with the driver.\n'],
  ['a figure that is none', 'Tesla, [N/A], 1, 2\n'],
])('%s is no GPU', (_, text) => {
  expect(gpusOf(text)).toBeNull();
});

test('asks the program, and no more where there is none', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'bellwether-gpu-'));
  const program = join(dir, 'nvidia-smi');
  writeFileSync(program, '#!/bin/sh\necho "NVIDIA A100-PCIE-40GB, 40960, 40000, 960"\n');
  chmodSync(program, 0o755);
  const look = createGpuLook(program);
  expect(look.read()).toBeNull();
  await vi.waitFor(
    () => expect(look.read()).toEqual({ gpu_count: 1, gpu_devices: [a100] }),
    20_000,
  );
  expect(createGpuLook(join(dir, 'absent')).read()).toBeNull();
  rmSync(dir, { recursive: true });
});
