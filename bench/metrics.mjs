// An agent's own figures, read from its /metrics page.
export async function metricsOf(node) {
  const { body } = await node.client().open('/metrics');
  let text = '';
  for await (const chunk of body) text += Buffer.from(chunk).toString();
  const values = new Map();
  for (const [, name, value] of text.matchAll(/^(\w+(?:\{[^}]*\})?) (\S+)$/gm))
    values.set(name, Number(value));
  return {
    value: (name) => values.get(name) ?? 0,
    /** [upper bound, samples at or below it] of a histogram without labels. */
    buckets: (name) =>
      [...values]
        .map(([key, count]) => [
          new RegExp(`^${name}_bucket\\{le="([^"]+)"\\}$`).exec(key)?.[1],
          count,
        ])
        .filter(([bound]) => bound !== undefined)
        .map(([bound, count]) => [
          bound === '+Inf' ? Number.POSITIVE_INFINITY : Number(bound),
          count,
        ]),
  };
}
