/**
 * What happened on this node, as a list or as a stream that follows. A follower who doesn't read is
 * dropped at a fixed backlog instead of growing the agent; it comes back with `Last-Event-ID`.
 */
import { PassThrough } from 'node:stream';
import { z } from 'zod';
import type { Agent, AgentEvent } from '../agent/api.ts';
import { AgentError } from '../base/error.ts';
import { limit } from './fields.ts';
import { type Exchange, type Route, route } from './route.ts';

const followersMax = 64;
const backlogBytesMax = 256 * 1024;
const backlogEventsMax = 1000;
const keepAliveMs = 15_000;

const event = z.object({
  seq: z.int(),
  at: z.string(),
  type: z.string(),
  data: z.record(z.string(), z.unknown()),
});

const frame = ({ seq, at, type, data }: AgentEvent): string =>
  `id: ${seq}\nevent: ${type.replace(/[\r\n]/g, ' ')}\n` +
  `data: ${JSON.stringify({ seq, at, type, data })}\n\n`;

/** Starts after `Last-Event-ID` or `after`; without either with what happens from now on. */
function startOf({ request }: Exchange, after: number | undefined): number | null {
  const last = request.headers['last-event-id'];
  if (typeof last === 'string' && /^\d{1,15}$/.test(last)) return Number(last);
  return after ?? null;
}

export function createEventRoutes(agent: Agent): Route[] {
  let followers = 0;

  function follow(from: number | null, { reply }: Exchange) {
    if (followers >= followersMax)
      throw new AgentError('overloaded', `${followersMax} callers follow the events already`);
    followers += 1;
    const stream = new PassThrough({ highWaterMark: backlogBytesMax });
    let sent = from ?? 0;
    const send = (each: AgentEvent): void => {
      if (each.seq <= sent || stream.destroyed) return;
      sent = each.seq;
      if (!stream.write(frame(each)) && stream.writableLength >= backlogBytesMax) stream.destroy();
    };
    stream.write(': follows\n\n');
    const stop = agent.onEvent(send);
    if (from !== null) for (const each of agent.events(from, backlogEventsMax)) send(each);
    const keepAlive = setInterval(() => stream.write(': still here\n\n'), keepAliveMs);
    keepAlive.unref();
    stream.on('close', () => {
      clearInterval(keepAlive);
      stop();
      followers -= 1;
    });
    return reply
      .header('content-type', 'text/event-stream')
      .header('cache-control', 'no-store')
      .send(stream);
  }

  return [
    route({
      method: 'GET',
      url: '/v1/events',
      summary: 'Events of this node; with `Accept: text/event-stream` it follows them',
      access: 'read',
      query: z.object({ after: z.coerce.number().int().min(0).optional(), limit }),
      headers: { 'Last-Event-ID': 'Where a broken stream goes on' },
      answers: {
        200: {
          description: 'Events after `after`, oldest first; `next` goes into `after`',
          schema: z.object({ events: z.array(event), next: z.int() }),
          types: ['application/json', 'text/event-stream'],
        },
      },
      handle: ({ query }, exchange) => {
        if (exchange.request.headers.accept?.includes('text/event-stream') === true)
          return follow(startOf(exchange, query.after), exchange);
        const events = agent.events(query.after ?? 0, query.limit);
        return { events, next: events.at(-1)?.seq ?? query.after ?? 0 };
      },
    }),
  ];
}
