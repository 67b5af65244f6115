/**
 * Connections to the providers that the agent names; nobody else is ever dialled. Dials happen when
 * there is something to fetch, few at a time, with jittered backoff per provider, so that a list of
 * dead addresses costs a trickle and never a storm.
 */
import type { Ms } from '../base/brand.ts';
import { AgentError } from '../base/error.ts';
import type { Provider } from './api.ts';
import { createLanes } from './lanes.ts';

const providersMax = 1000;
const dialsMax = 16;
const dialTimeoutMs: Ms = 5000;
const backoffMsMin: Ms = 250;
const backoffMsMax: Ms = 30_000;

interface Link {
  addresses: readonly string[];
  dialing: boolean;
  failures: number;
  notBeforeMs: Ms;
  lastError: string | null;
}

export interface ProviderLinks {
  /** Replaces the list; returns true when it has a provider or an address that is new. */
  set(providers: readonly Provider[]): boolean;
  connected(): string[];
  isDialing(): boolean;
  /** Starts dialling whoever is not connected and may be dialled now. */
  connectAll(): void;
  /** Why providers are out of reach, for the text of an error. */
  describe(): string;
}

export interface LinkDeps {
  readonly host: {
    readonly peerId: string;
    connected(peerId: string): boolean;
    dial(peerId: string, addresses: readonly string[], timeoutMs: Ms): Promise<void>;
  };
  readonly monoMs: () => Ms;
  readonly random: () => number;
  /** A dial ended, well or not. */
  readonly onSettled: () => void;
}

export function createProviderLinks(deps: LinkDeps): ProviderLinks {
  const links = new Map<string, Link>();
  const lanes = createLanes(dialsMax);

  function set(providers: readonly Provider[]): boolean {
    if (providers.length > providersMax)
      throw new AgentError('bad-request', `providers: ${providers.length}, max ${providersMax}`);
    let news = false;
    const named = new Set(providers.map((provider) => provider.peerId));
    for (const peerId of links.keys()) if (!named.has(peerId)) links.delete(peerId);
    for (const { peerId, addresses } of providers) {
      if (peerId === deps.host.peerId) continue;
      const known = links.get(peerId);
      const same = known?.addresses.join() === addresses.join();
      if (known !== undefined && same) continue;
      news = true;
      const fresh = { dialing: false, failures: 0, notBeforeMs: 0, lastError: null };
      if (known === undefined) links.set(peerId, { addresses: [...addresses], ...fresh });
      else Object.assign(known, { addresses: [...addresses], failures: 0, notBeforeMs: 0 });
    }
    return news;
  }

  async function dial(peerId: string, link: Link): Promise<void> {
    try {
      await lanes.run(() => deps.host.dial(peerId, link.addresses, dialTimeoutMs));
      link.failures = 0;
      link.lastError = null;
    } catch (thrown) {
      const base = Math.min(backoffMsMax, backoffMsMin * 2 ** Math.min(link.failures, 16));
      link.failures += 1;
      link.notBeforeMs = deps.monoMs() + base * (0.5 + deps.random());
      link.lastError = thrown instanceof Error ? thrown.message : String(thrown);
    } finally {
      link.dialing = false;
      deps.onSettled();
    }
  }

  function connectAll(): void {
    const nowMs = deps.monoMs();
    for (const [peerId, link] of links) {
      if (link.dialing || link.addresses.length === 0 || link.notBeforeMs > nowMs) continue;
      if (deps.host.connected(peerId)) continue;
      link.dialing = true;
      void dial(peerId, link);
    }
  }

  function describe(): string {
    const away = [...links].filter(([peerId]) => !deps.host.connected(peerId));
    const why = away.find(([, link]) => link.lastError !== null)?.[1].lastError ?? null;
    const head = `${links.size} providers known, ${links.size - away.length} connected`;
    return why === null ? head : `${head}; last dial: ${why}`;
  }

  return {
    set,
    connected: () => [...links.keys()].filter((peerId) => deps.host.connected(peerId)),
    isDialing: () => [...links.values()].some((link) => link.dialing),
    connectAll,
    describe,
  };
}
