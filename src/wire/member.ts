/**
 * Who a node is: its role and what the role allows. A role orders nodes by rank; a state (leader,
 * candidate, follower, learner) is something else. The record is what the node's signed
 * certificate says (certificate.ts); the configuration keeps it.
 */
import { z } from 'zod';

export const roles = ['master', 'worker', 'leecher', 'witness'] as const;
export type Role = (typeof roles)[number];

export const certificateSchema = z.looseObject({
  peerId: z.string().min(1).max(128),
  name: z.string().regex(/^[a-z0-9][a-z0-9.-]{0,62}$/),
  role: z.enum(roles),
  /** The order of leaders: higher leads. See rankOf. */
  rank: z.int().min(0).max(3999),
  zone: z.string().max(63),
  votes: z.boolean(),
  leads: z.boolean(),
});
export type Certificate = Readonly<z.infer<typeof certificateSchema>>;

/**
 * What a role allows: masters and workers vote and may lead, a witness votes, a leecher
 * neither.
 */
export function rightsOf(role: Role, workersMayLead: boolean): { votes: boolean; leads: boolean } {
  switch (role) {
    case 'master':
      return { votes: true, leads: true };
    case 'worker':
      return { votes: true, leads: workersMayLead };
    case 'witness':
      return { votes: true, leads: false };
    case 'leecher':
      return { votes: false, leads: false };
  }
}

/**
 * One number for the order: the role first, then the operator's optional rank (0..999) within
 * it.
 */
export function rankOf(role: Role, within = 0): number {
  const base = { master: 3000, worker: 2000, witness: 1000, leecher: 0 }[role];
  return base + within;
}
