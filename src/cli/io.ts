/**
 * Where a command reads and writes: the process in life, buffers in tests. Results go to `out`,
 * everything else (progress, notices, errors) to `err`, so that a pipe sees only results.
 */
export interface Io {
  out(text: string): void;
  err(text: string): void;
  /** Whether a person watches `err`; only then there are progress bars. */
  readonly watched: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
}

export const processIo: Io = {
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
  watched: process.stderr.isTTY === true,
  env: process.env,
};
