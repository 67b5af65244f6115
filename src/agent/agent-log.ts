/**
 * The agent's log for people: events and failures as lines of JSON. It is written aside and never
 * waited for; a reader that stands still costs lines, not heartbeats.
 */
import pino, { type Logger } from 'pino';
import type { Config } from './config.ts';
import type { EventLog } from './event-log.ts';

const bytesWaitingMax = 1024 * 1024;

/** What of the events an operator wants to see in the log without asking for it. */
const notable = new Set([
  ...['peer-refused', 'token-refused', 'certificate-issued', 'certificate-revoked'],
  'state-changed',
  'acting-changed',
  'takeover',
  'started',
  'stopping',
  'daemon-alert',
  'resigned',
  'leader-degraded',
  'standing',
  'member-removed',
]);

export function createAgentLog(config: Config, events: EventLog): Logger {
  const logger = pino(
    { level: config.logLevel, base: { node: config.nodeId } },
    pino.destination({ dest: 2, sync: false, maxLength: bytesWaitingMax }),
  );
  events.onEvent(({ type, data }) => {
    logger[notable.has(type) ? 'info' : 'debug'](data, type);
  });
  return logger;
}
