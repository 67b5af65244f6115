/**
 * Pins and their allocations. Copies are deleted only because of an entry applied here, so the
 * rules that protect the last copy stand here and not only in the planner: an allocation changes
 * by compare-and-set on its own version, and peers leave it only if the entry names enough
 * verified copies that stay. What an allocation relied on is kept until the next one: a node
 * outside the allocation may drop its copy only while that names enough others (a node that has
 * just added content holds the only copy and is not allocated yet). A removed pin leaves a
 * tombstone: absence alone is no proof for a node that it may delete.
 */
import type { CommandResult, SimpleCommand } from '../wire/command.ts';
import { type ApplyContext, conflict, done, expected, refused } from './apply-context.ts';
import { decodeMember } from './apply-members.ts';
import type { PinRow, TombstoneRow } from './schema.ts';
import { peersOf } from './tables.ts';

type Of<T extends SimpleCommand['type']> = Extract<SimpleCommand, { type: T }>;

export function applyPinPut(context: ApplyContext, command: Of<'pin.put'>): CommandResult {
  const { tables, index } = context;
  const { cid } = command;
  if (command.min > command.max)
    return refused(context, 'bad-request', `min ${command.min} is above max ${command.max}`);
  const old = tables.pins.get(cid);
  if (!expected(command.expectedVersion, old?.version ?? 0))
    return conflict(context, `pin ${cid}`, old?.version ?? 0);
  const row: PinRow = {
    cid,
    name: command.name,
    bytes: command.bytes ?? old?.bytes ?? null,
    blocks: command.blocks ?? old?.blocks ?? null,
    copies_min: command.min,
    copies_max: command.max,
    labels: sortedJson(command.labels),
    expires_at_ms: command.expiresAtMs,
    version: index,
    created_index: old?.created_index ?? index,
    created_at_ms: old?.created_at_ms ?? context.atMs,
    peers: old?.peers ?? '[]',
    copies: old?.copies ?? 0,
    allocation_version: old?.allocation_version ?? 0,
    relies_on: old?.relies_on ?? '[]',
    allocation_term: old?.allocation_term ?? 0,
    allocation_reason: old?.allocation_reason ?? '',
  };
  writePin(context, row, old);
  const tombstone = tables.tombstones.get(cid);
  if (tombstone !== null) {
    tables.tombstones.remove(tombstone);
    tables.counters.add('tombstones', -1);
  }
  return done(context, index);
}

export function applyPinRemove(context: ApplyContext, command: Of<'pin.rm'>): CommandResult {
  const { tables, index } = context;
  const old = tables.pins.get(command.cid);
  if (!expected(command.expectedVersion, old?.version ?? 0))
    return conflict(context, `pin ${command.cid}`, old?.version ?? 0);
  if (old === null) return refused(context, 'not-found', `no pin ${command.cid}`);
  count(context, old, -1);
  tables.pins.remove(old);
  for (const peer of peersOf(old)) tables.release(peer, old.cid);
  tables.tombstones.put(
    { cid: old.cid, removed_index: index, removed_at_ms: context.atMs },
    null, // pin.put removed any tombstone of this CID
  );
  tables.counters.add('tombstones', 1);
  dropOldTombstone(context);
  return done(context, null);
}

export function applyAllocation(
  context: ApplyContext,
  command: Of<'allocation.set'>,
): CommandResult {
  const { tables, index } = context;
  const old = tables.pins.get(command.cid);
  if (old === null) return conflict(context, `pin ${command.cid}`, 0);
  if (old.allocation_version !== command.expectedVersion)
    return conflict(context, `the allocation of ${command.cid}`, old.allocation_version);
  const peers = [...new Set(command.peers)].sort();
  const problem = allocationProblem(context, old, peers, command.reliesOn);
  if (problem !== null) return refused(context, 'bad-request', problem);
  const before = peersOf(old);
  for (const peer of before) if (!peers.includes(peer)) tables.release(peer, old.cid);
  for (const peer of peers) if (!before.includes(peer)) tables.allocate(peer, old.cid);
  const row: PinRow = {
    ...old,
    peers: JSON.stringify(peers),
    copies: peers.length,
    allocation_version: index,
    relies_on: JSON.stringify([...new Set(command.reliesOn)].sort()),
    allocation_term: command.term,
    allocation_reason: command.reason,
  };
  writePin(context, row, old);
  return done(context, index);
}

/** Why this allocation may not be, or null. `peers` is free of duplicates. */
function allocationProblem(
  context: ApplyContext,
  old: PinRow,
  peers: readonly string[],
  reliesOn: readonly string[],
): string | null {
  const before = peersOf(old);
  for (const peer of peers) {
    if (before.includes(peer)) continue;
    const role = decodeMember(context.tables.members.get(peer))?.role;
    if (role === 'leecher' || role === 'witness') return `a ${role} holds no copies (${peer})`;
  }
  const relied = new Set(reliesOn);
  for (const peer of relied) {
    if (!before.includes(peer)) return `relies on ${peer}, which holds no copy by this allocation`;
    if (!peers.includes(peer)) return `relies on ${peer}, which it removes`;
  }
  const removed = before.filter((peer) => !peers.includes(peer));
  const needed = Math.max(1, old.copies_min);
  if (removed.length === 0 || relied.size >= needed) return null;
  return `removes ${removed.length} copies but relies on ${relied.size}; it needs ${needed}`;
}

function writePin(context: ApplyContext, row: PinRow, old: PinRow | null): void {
  if (old !== null) count(context, old, -1);
  count(context, row, 1);
  context.tables.pins.put(row, old);
}

function count(context: ApplyContext, row: PinRow, delta: 1 | -1): void {
  const { counters } = context.tables;
  counters.add('pins', delta);
  if (row.copies < row.copies_min) counters.add('pins_below_min', delta);
  if (row.copies < row.copies_max) counters.add('pins_below_max', delta);
  if (row.copies > row.copies_max) counters.add('pins_above_max', delta);
}

function dropOldTombstone(context: ApplyContext): void {
  const { tables, limits } = context;
  if (tables.counters.get('tombstones') <= limits.tombstonesMax) return;
  const oldest = tables.tombstones.select('ORDER BY removed_index, cid LIMIT 1').get();
  if (oldest === undefined) return;
  tables.tombstones.remove(oldest as TombstoneRow);
  tables.counters.add('tombstones', -1);
}

function sortedJson(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify(Object.fromEntries(pairs));
}
