/** Short lines for the readable trace of a failing seed. */
import type { Event, Fact, PersistJob } from '../consensus/api.ts';
import type { Message } from '../wire/consensus-message.ts';

function flat(value: Record<string, unknown>, without: readonly string[]): string {
  const parts: string[] = [];
  for (const [name, item] of Object.entries(value)) {
    if (without.includes(name) || item === null || item === false) continue;
    if (typeof item === 'number') parts.push(`${name}=${Number(item.toFixed(2))}`);
    else if (typeof item === 'string') parts.push(`${name}=${item.slice(0, 24)}`);
    else if (item === true) parts.push(name);
    else if (Array.isArray(item)) parts.push(`${name}[${item.length}]`);
    else if (item instanceof Uint8Array) parts.push(`${name}(${item.length})`);
    else parts.push(`${name}={${flat(item as Record<string, unknown>, without)}}`);
  }
  return parts.join(' ');
}

const header = ['v', 'cluster', 'epoch', 'type', 'hash', 'prevHash'];

export function describeMessage(message: Message): string {
  return `${message.type} ${flat({ ...message }, header)}`;
}

export function describeEvent(event: Event): string {
  if (event.type === 'message')
    return `message from ${event.from}: ${describeMessage(event.message)}`;
  return `${event.type} ${flat({ ...event }, header)}`;
}

export function describeJob(job: PersistJob): string {
  const first = job.append[0];
  const last = job.append.at(-1);
  const entries = first && last ? ` entries ${first.index}..${last.index} of ${last.term}` : '';
  const cut = job.cutBackTo === null ? '' : ` cut back to ${job.cutBackTo}`;
  const hard = job.hardState === null ? '' : ` hard state {${flat({ ...job.hardState }, [])}}`;
  const install = job.installSnapshot ? ` snapshot of ${job.installSnapshot.meta.index}` : '';
  return `job ${job.id}${install}${cut}${entries}${hard}`;
}

export function describeFact(fact: Fact): string {
  if (fact.type === 'ballot') {
    const { ballot } = fact;
    const answers = ballot.answers.map((a) => `${a.from}:${a.code}`).join(' ');
    return `ballot ${ballot.kind} of term ${ballot.term} won=${ballot.won} ${answers}`;
  }
  if (fact.type === 'configuration-changed') {
    const { voters, outgoing, members } = fact.configuration;
    const names = members.map((member) => member.peerId).join(',');
    return `configuration ${fact.index}: ${voters} | ${outgoing ?? '-'} of ${names}`;
  }
  return `${fact.type} ${flat({ ...fact }, ['type'])}`;
}
