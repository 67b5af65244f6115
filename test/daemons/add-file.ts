/** Adds a file made of `text` through a node of a flock; its CID. */
import type { Flock } from '../e2e/flock.ts';

export async function addFile(
  flock: Pick<Flock, 'node' | 'token'>,
  name: string,
  text: string,
  { min, max }: { readonly min: number; readonly max: number },
): Promise<string> {
  const { url } = flock.node(name);
  const response = await fetch(`${url}/v1/content?name=${text}&min=${min}&max=${max}`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${flock.token(name)}`,
      'content-type': 'application/octet-stream',
    },
    body: text.repeat(1000),
  });
  const answer = (await response.json()) as { cid: string };
  if (response.status !== 201) throw new Error(`${name}: ${JSON.stringify(answer)}`);
  return answer.cid;
}
