/**
 * The leader keeps the `peer_lists` index in step with who belongs and where they are; only a
 * material change is an entry, so a quiet cluster writes nothing.
 */
import type { Ms, PeerId } from '../../base/brand.ts';
import { type PeerFacts, type PeerRow, planPeerLists } from '../../plan/peer-lists.ts';
import type { Command, CommandResult } from '../../wire/command.ts';
import type { Directory } from '../directory.ts';

const pageLimit = 1000;
const proposeTimeoutMs = 5000;

export interface PeerRowsDeps {
  readonly directory: Directory;
  readonly mayAct: () => unknown;
  readonly query: (name: string, args: unknown) => Promise<unknown>;
  readonly propose: (
    command: Command,
    options: { idempotency: null; timeoutMs: number },
  ) => Promise<CommandResult>;
}

/** One round: reads the rows, proposes what differs; answers how long reading took, ms. */
export async function updatePeerRows(deps: PeerRowsDeps): Promise<Ms> {
  if (deps.mayAct() === null) return 0;
  const begunMs = performance.now();
  const rows: PeerRow[] = [];
  let after: string | null = null;
  do {
    const page = (await deps.query('index.list', {
      index: 'peer_lists',
      prefix: null,
      after,
      limit: pageLimit,
    })) as { entries: PeerRow[]; next: string | null };
    rows.push(...page.entries);
    after = page.next;
  } while (after !== null);
  const readMs = performance.now() - begunMs;
  const { members } = deps.directory.configuration();
  const facts = members.flatMap((member) => factsOf(deps.directory, member.peerId));
  const ids = new Set(members.map((member) => member.peerId));
  for (const command of planPeerLists({ rows, facts, members: ids })) {
    if (deps.mayAct() === null) break;
    await deps.propose(command, { idempotency: null, timeoutMs: proposeTimeoutMs });
  }
  return readMs;
}

/** What is known of a member, or nothing while it has said nothing of itself. */
function factsOf(directory: Directory, peer: PeerId): PeerFacts[] {
  const { certificate, addresses, statusUrl, version, content } = directory.factsOf(peer);
  if (certificate === null || version === null || addresses.length === 0) return [];
  return [
    {
      peer,
      name: certificate.name,
      role: certificate.role,
      zone: certificate.zone,
      addresses,
      contentPeer: content?.peerId ?? null,
      contentAddresses: content?.addresses ?? [],
      statusUrl,
      version,
    },
  ];
}
