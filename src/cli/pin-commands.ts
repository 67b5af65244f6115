/**
 * `pin add|rm|ls|status`: what is to be kept in how many copies, and where the copies are.
 */
import type { Command } from 'commander';
import type { PinReport } from '../agent/api.ts';
import type { Act } from './program.ts';
import { ageOf, sizeOf, tableOf } from './table.ts';

interface Written {
  readonly cid: string;
  readonly version: number | null;
  readonly index: number;
}

const pageSize = 500;

const pinPath = (cid: string | undefined): string => `/v1/pins/${encodeURIComponent(cid ?? '')}`;

/** `3 of 2-3`: verified copies, and how many are wanted. */
export const copiesText = ({ verified, min, max }: PinReport): string =>
  `${verified} of ${min === max ? min : `${min}-${max}`}`;

function pinText(pin: PinReport): string {
  const head =
    `${pin.cid}  ${pin.name}\n` +
    `size ${sizeOf(pin.bytes)}, copies verified ${copiesText(pin)}, version ${pin.version}\n\n`;
  const rows = pin.copies.map(({ node, status, verified, ageMs }) => [
    node,
    status?.state ?? 'not reported',
    verified ? 'yes' : 'no',
    status ? sizeOf(status.bytesDone) : null,
    ageOf(ageMs),
    status?.lastError ?? '',
  ]);
  return head + tableOf(['NODE', 'STATE', 'VERIFIED', 'DONE', 'REPORTED', 'LAST ERROR'], rows);
}

export function addPinCommands(program: Command, act: Act): void {
  const pin = program.command('pin').description('what is kept, and in how many copies');
  pin
    .command('add')
    .description('pins a CID, or changes what is wanted of it')
    .argument('<cid>')
    .option('--name <name>')
    .option('--min <copies>', 'repair below this many', Number)
    .option('--max <copies>', 'trim above this many', Number)
    .action(
      act(async ({ client, args: [cid], options, tell }) => {
        const { name, min, max } = options;
        const done = await client.write<Written>('PUT', pinPath(cid), { json: { name, min, max } });
        tell(done, () => `pinned ${done.cid}, version ${done.version}\n`);
      }),
    );
  pin
    .command('rm')
    .description('unpins; the nodes delete the blocks after it')
    .argument('<cid>')
    .action(
      act(async ({ client, args: [cid], tell }) => {
        const done = await client.write<Written>('DELETE', pinPath(cid));
        tell(done, () => `unpinned ${done.cid}\n`);
      }),
    );
  pin
    .command('ls')
    .description('every pin with its copies')
    .action(
      act(async ({ client, tell }) => {
        const pins: PinReport[] = [];
        for (let after: string | undefined, more = true; more; ) {
          const page: { pins: PinReport[]; next: string | null } = await client.call(
            'GET',
            '/v1/pins',
            { query: { after, limit: pageSize } },
          );
          pins.push(...page.pins);
          more = page.next !== null;
          after = page.next ?? undefined;
        }
        tell(pins, () =>
          tableOf(
            ['CID', 'NAME', 'SIZE', 'COPIES', 'NODES'],
            pins.map((each) => [
              each.cid,
              each.name,
              sizeOf(each.bytes),
              copiesText(each),
              each.copies
                .filter(({ verified }) => verified)
                .map(({ node }) => node)
                .join(', '),
            ]),
          ),
        );
      }),
    );
  pin
    .command('status')
    .description('one pin, node by node')
    .argument('<cid>')
    .action(
      act(async ({ client, args: [cid], tell }) => {
        const report = await client.call<PinReport>('GET', pinPath(cid));
        tell(report, () => pinText(report));
      }),
    );
}
