/** The federation as the catalog has it; for daemons and followers only: it holds the secret. */
import { z } from 'zod';
import { defineQuery, statement } from './query.ts';

export interface FederationRecord {
  /** null: the leader has not made it yet. */
  readonly secret: string | null;
  readonly peers: readonly {
    readonly node: string;
    readonly kind: 'ipfs_cluster_service' | 'ipfs_cluster_follow';
    readonly peerId: string;
    readonly addresses: readonly string[];
  }[];
}

/** At most as many peers as members. */
export const federationGet = defineQuery(z.object({}), (db): FederationRecord => {
  const own = statement(db, 'SELECT secret FROM federation ORDER BY one').get();
  const peers = statement(db, 'SELECT * FROM federation_peers ORDER BY node')
    .all()
    .map((row) => ({
      node: String(row.node),
      kind: row.kind as FederationRecord['peers'][number]['kind'],
      peerId: String(row.peer_id),
      addresses: JSON.parse(String(row.addresses)) as string[],
    }));
  return { secret: own === undefined ? null : String(own.secret), peers };
});
