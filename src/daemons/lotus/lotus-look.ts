/** One look at a Filecoin node: its calls side by side, each answer into its own field. */
import { z } from 'zod';
import type { Finding } from '../api.ts';
import { filText } from './fil.ts';
import { isUnauthorized, type LotusRpc, type RpcAnswer, resultOf } from './lotus-rpc.ts';
import { type SyncView, syncViewOf } from './sync-status.ts';

/** Wallets whose balance is asked for. */
const walletsMax = 32;
const blockDelayDefaultS = 30;
export const unavailable = 'unavailable';

const headSchema = z.object({
  Height: z.int().min(0),
  Blocks: z.array(z.object({ Timestamp: z.number() })).nullable(),
});
const versionSchema = z.object({
  Version: z.string().max(200),
  BlockDelay: z.number().min(1).optional(),
  Agent: z.string().max(64).optional(),
});
const syncSchema = z.object({
  ActiveSyncs: z
    .array(
      z.object({
        Stage: z.int(),
        Height: z.number(),
        Target: z.object({ Height: z.number() }).nullable(),
      }),
    )
    .nullable(),
});
const nodeStatusSchema = z.object({ SyncStatus: z.object({ Behind: z.number() }) });
const forestSyncSchema = z.object({ status: z.string().max(64) });
const peersSchema = z.array(z.object({ ID: z.string() })).nullable();
const listenSchema = z.object({ ID: z.string(), Addrs: z.array(z.string()).nullable() });
const bandwidthSchema = z.object({ TotalIn: z.number(), TotalOut: z.number() });
const text = z.string().max(500);
const addresses = z.array(text).nullable();

export interface Wallet {
  readonly address: string;
  /** In FIL, or `unavailable`. */
  readonly balance: string;
  readonly default: boolean;
}

/** What seldom changes and is asked for now and then. */
export interface LotusStock {
  readonly version: string;
  readonly commit: string;
  readonly nodeType: 'lotus' | 'forest';
  readonly blockDelayS: number;
  readonly network: string;
  readonly peerId: string;
  /** null: they can't be had. */
  readonly wallets: readonly Wallet[] | null;
  readonly unauthorized: string | null;
}

async function walletsOf(rpc: LotusRpc): Promise<Pick<LotusStock, 'wallets' | 'unauthorized'>> {
  const [list, chosen] = await Promise.all([
    rpc.ask('Filecoin.WalletList', [], addresses),
    rpc.ask('Filecoin.WalletDefaultAddress', [], text.nullable()),
  ]);
  const unauthorized = isUnauthorized(list)
    ? 'the wallets need a token with more rights than the one that is used'
    : null;
  if (list.type !== 'value') return { wallets: null, unauthorized };
  const known = (list.value ?? []).slice(0, walletsMax);
  const balances = await Promise.all(
    known.map((address) => rpc.ask('Filecoin.WalletBalance', [address], text)),
  );
  const wallets = known.map((address, i) => {
    const atto = balances[i] === undefined ? null : resultOf(balances[i] as RpcAnswer<string>);
    const balance = (atto === null ? null : filText(atto)) ?? unavailable;
    return { address, balance, default: address === resultOf(chosen) };
  });
  return { wallets, unauthorized };
}

export async function takeLotusStock(rpc: LotusRpc): Promise<LotusStock> {
  const [version, network, listen, wallets] = await Promise.all([
    rpc.ask('Filecoin.Version', [], versionSchema),
    rpc.ask('Filecoin.StateNetworkName', [], text),
    rpc.ask('Filecoin.NetAddrsListen', [], listenSchema),
    walletsOf(rpc),
  ]);
  const told = resultOf(version);
  const commit = /git\.([0-9a-f]{6,40})\b/.exec(told?.Version ?? '')?.[1];
  return {
    version: told?.Version ?? unavailable,
    commit: commit ?? unavailable,
    nodeType: told?.Agent === 'forest' ? 'forest' : 'lotus',
    blockDelayS: told?.BlockDelay ?? blockDelayDefaultS,
    network: resultOf(network) ?? unavailable,
    peerId: resultOf(listen)?.ID ?? unavailable,
    ...wallets,
  };
}

export interface LotusLook {
  readonly sync: SyncView;
  readonly height: number;
  readonly peers: number | null;
  readonly bytesIn: number | null;
  readonly bytesOut: number | null;
}

export async function lookAtLotus(
  rpc: LotusRpc,
  { blockDelayS, nowS }: { blockDelayS: number; nowS: number },
): Promise<LotusLook> {
  const [headAnswer, sync, node, forest, peers, bandwidth] = await Promise.all([
    rpc.ask('Filecoin.ChainHead', [], headSchema.nullable()),
    rpc.ask('Filecoin.SyncState', [], syncSchema),
    rpc.ask('Filecoin.NodeStatus', [false], nodeStatusSchema),
    rpc.ask('Forest.SyncStatus', [], forestSyncSchema),
    rpc.ask('Filecoin.NetPeers', [], peersSchema),
    rpc.ask('Filecoin.NetBandwidthStats', [], bandwidthSchema),
  ]);
  const head = resultOf(headAnswer);
  const timestampS = head?.Blocks?.[0]?.Timestamp;
  const syncs = resultOf(sync);
  return {
    sync: syncViewOf({
      head: head === null || timestampS === undefined ? null : { height: head.Height, timestampS },
      activeSyncs:
        syncs === null
          ? null
          : (syncs.ActiveSyncs ?? []).map(({ Stage, Height, Target }) => ({
              stage: Stage,
              height: Height,
              targetHeight: Target?.Height ?? null,
            })),
      forestStatus: resultOf(forest)?.status ?? null,
      behind: resultOf(node)?.SyncStatus.Behind ?? null,
      blockDelayS,
      nowS,
    }),
    height: head?.Height ?? 0,
    peers: peers.type === 'value' ? (peers.value?.length ?? 0) : null,
    bytesIn: resultOf(bandwidth)?.TotalIn ?? null,
    bytesOut: resultOf(bandwidth)?.TotalOut ?? null,
  };
}

function balanceOf(wallets: readonly Wallet[] | null): string {
  if (wallets === null) return unavailable;
  const shown = wallets.find((wallet) => wallet.default) ?? wallets[0];
  return shown?.balance ?? 'no wallet';
}

export function lotusFinding(look: LotusLook, stock: LotusStock, apiAddress: string): Finding {
  const { sync, height, peers } = look;
  const problems: { code: string; text: string }[] = [];
  if (peers === 0) problems.push({ code: 'no-peers', text: 'it has no peers' });
  if (sync.status === 'syncing')
    problems.push({ code: 'behind', text: `its head is ${sync.epochsBehind} epochs behind` });
  if (sync.status === 'error') problems.push({ code: 'check-failed', text: 'its sync failed' });
  if (stock.unauthorized !== null)
    problems.push({ code: 'unauthorized', text: stock.unauthorized });
  return {
    ready: true,
    version: stock.version,
    detail:
      `${stock.nodeType} ${stock.version} on ${stock.network}, ${sync.status}, ` +
      `height ${height}, ${peers ?? unavailable} peers`,
    progress: sync.progress,
    facts: {
      version: stock.version,
      commit: stock.commit,
      node_type: stock.nodeType,
      network: stock.network,
      peer_id: stock.peerId,
      api_address: apiAddress,
      sync_status: sync.status,
      phase: sync.phase,
      chain_height: height,
      head_age_s: sync.headAgeS,
      epochs_behind: sync.epochsBehind,
      peers_count: peers ?? unavailable,
      wallet_balance: balanceOf(stock.wallets),
      // A fact is a plain value: the list as JSON, null where it can't be had.
      wallets: stock.wallets === null ? null : JSON.stringify(stock.wallets),
      bandwidth_in_bytes: look.bytesIn,
      bandwidth_out_bytes: look.bytesOut,
    },
    problems,
  };
}
