/**
 * Orders of a leader. Each carries (epoch, term); what is below the highest term that was ever
 * executed here is refused. A higher one raises the fence, and is executed only after that is
 * durable.
 */
import type { Event } from './api.ts';
import { type Core, saveHardState } from './core.ts';

export function onOrder(core: Core, event: Extract<Event, { type: 'order' }>): void {
  const { ref, epoch, term } = event;
  const { fence } = core.hard;
  if (epoch !== core.options.epoch || term < fence || core.broken === 'store-failed') {
    core.out.orders.push({ ref, execute: false, fence });
    return;
  }
  if (term > fence) saveHardState(core, { fence: term });
  core.out.answerOrderAfter(core.out.hardStateJob, { ref, execute: true, fence: term });
}
