// What every comparison does with its numbers: quantiles, rounding, and the rows of its table.
export const rounded = (value, digits = 1) =>
  value === null ? null : Math.round(value * 10 ** digits) / 10 ** digits;

export function quantile(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? null;
}

export const median = (values) => quantile(values, 0.5);

/** One line of the table; `ratio` is ours divided by the peer's. */
export function row({ what, unit, ours, peer = null, peerName = null, digits = 1 }) {
  const ratio = ours === null || peer === null || peer === 0 ? null : rounded(ours / peer, 3);
  return { what, unit, ours: rounded(ours, digits), peer: rounded(peer, digits), peerName, ratio };
}
