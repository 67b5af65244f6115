/** Commands that rotate the private network's key and show who has followed. */
import type { Command } from 'commander';
import type { NetworkKeysState } from '../agent/operations/api.ts';
import { ownerOf } from './operation-commands.ts';
import type { Act, Context } from './program.ts';
import { tableOf } from './table.ts';

const path = '/v1/network-keys';

function stateText({ keys, members, next }: NetworkKeysState): string {
  const keyRows = keys.map(({ fingerprint, state, since, by }) => [
    ...[fingerprint, state, since ?? '', by ?? ''],
  ]);
  const memberRows = members.map(({ name, state, follows, accepts, sends, detail }) => [
    ...[name, state, follows ? 'yes' : 'no', (accepts ?? []).join(' '), sends ?? '', detail ?? ''],
  ]);
  const target = next ?? keys.find(({ state }) => state === 'sending')?.fingerprint ?? '';
  return `${tableOf(['KEY', 'STATE', 'SINCE', 'BY'], keyRows)}\n${tableOf(
    ['MEMBER', 'STATE', `FOLLOWS ${target}`, 'ACCEPTS', 'SENDS', 'WHY NOT'],
    memberRows,
  )}`;
}

/** One step, then how everything stands after it. */
async function step({ client, options, tell }: Context, where: string): Promise<void> {
  const force = options.force === true ? { force: true } : {};
  const json = { owner: ownerOf(), ...force };
  const state = await client.call<NetworkKeysState>('POST', `${path}${where}`, { json });
  tell(state, () => stateText(state));
}

export function addNetworkKeyCommands(program: Command, act: Act): void {
  const group = program
    .command('network-key')
    .description("the private network's key: rotated while everything runs");
  group
    .command('ls')
    .description('the keys by fingerprint, and which member has followed')
    .action(
      act(async ({ client, tell }) => {
        const state = await client.call<NetworkKeysState>('GET', path);
        tell(state, () => stateText(state));
      }),
    );
  group
    .command('rotate')
    .description('adds a new key; it is sent as soon as every running member accepts it')
    .action(act((context) => step(context, '')));
  group
    .command('switch')
    .description('sends the added key now; the leader does so by itself unless paused')
    .option('--force', 'even though running members do not accept it yet')
    .action(act((context) => step(context, '/switch')));
  group
    .command('retire')
    .description('drops the older keys: whoever knows only those is refused')
    .option('--force', 'even though members were not seen with the new key; they must join anew')
    .action(act((context) => step(context, '/retire')));
}
