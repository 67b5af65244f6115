/**
 * The leader keeps the `peer_lists` index in step with who belongs and where they are; only a
 * material change is an entry, so a quiet cluster writes nothing.
 */
import type { PeerId } from '../../base/brand.ts';
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

/** One round: reads the rows, proposes what differs. */
export async function updatePeerRows(deps: PeerRowsDeps): Promise<void> {
  if (deps.mayAct() === null) return;
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
  const { members } = deps.directory.configuration();
  const facts = members.flatMap((member) => factsOf(deps.directory, member.peerId));
  const ids = new Set(members.map((member) => member.peerId));
  for (const command of planPeerLists({ rows, facts, members: ids })) {
    if (deps.mayAct() === null) return;
    await deps.propose(command, { idempotency: null, timeoutMs: proposeTimeoutMs });
  }
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
