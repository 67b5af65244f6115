/** Tells the others by gossip where this node is: hints, said again now and then. */
import type { Ms } from '../base/brand.ts';
import type { Provider } from '../content/api.ts';
import { encodeGossip } from '../wire/gossip.ts';
import { sayAgainMs } from '../wire/gossip-pace.ts';
import type { Node } from './node.ts';
import { version } from './version.ts';

const sayEveryMs: Ms = 60_000;

export const sayWhereAgainMs = (node: Node): Ms =>
  sayAgainMs(sayEveryMs, node.directory.configuration().members.length);

export function sayWhere(
  node: Node,
  { provider, statusUrl }: { provider: Provider | null; statusUrl: string | null },
  onFailure: (text: string, error: unknown) => void,
): void {
  const { text, member } = node.trust.own();
  const { name, role, zone } = member;
  const body = encodeGossip('members', {
    type: 'member',
    name,
    role,
    zone,
    addresses: node.mesh.addresses().slice(0, 16),
    statusUrl,
    content: provider && { peerId: provider.peerId, addresses: [...provider.addresses] },
    version,
    incarnation: node.mesh.incarnation,
    certificate: text,
  });
  node.mesh
    .publish('members', body)
    .catch((error: unknown) => onFailure('the member record was not published', error));
}
