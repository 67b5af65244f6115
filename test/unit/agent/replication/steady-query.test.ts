import { expect, test } from 'vitest';
import { createSteadyQuery } from '../../../../src/agent/replication/steady-query.ts';

function catalogOf(rows: number) {
  let index = 1;
  const asked: string[] = [];
  return {
    asked,
    move: () => {
      index += 1;
    },
    appliedIndex: () => index,
    query: async (name: string, args: unknown) => {
      asked.push(`${name} ${JSON.stringify(args)}`);
      return { value: { pins: Array.from({ length: rows }, () => index) }, appliedIndex: index };
    },
  };
}

test('the same question is asked again only when the catalog has moved', async () => {
  const catalog = catalogOf(1);
  const query = createSteadyQuery(catalog);
  expect(await query('pins.list', { after: null })).toEqual({ pins: [1] });
  expect(await query('pins.list', { after: null })).toEqual({ pins: [1] });
  expect(catalog.asked).toHaveLength(1);
  catalog.move();
  expect(await query('pins.list', { after: null })).toEqual({ pins: [2] });
  expect(await query('pins.list', { after: 'x' })).toEqual({ pins: [2] });
  expect(catalog.asked).toHaveLength(3);
});

test('long answers are not kept, and few are', async () => {
  const long = catalogOf(1000);
  const query = createSteadyQuery(long);
  await query('pins.list', {});
  await query('pins.list', {});
  expect(long.asked).toHaveLength(2);

  const short = catalogOf(0);
  const many = createSteadyQuery(short);
  for (let round = 0; round < 2; round++)
    for (let cid = 0; cid < 20; cid++) await many('pins.get', { cid });
  expect(short.asked).toHaveLength(40);
});

test('null is an answer like another', async () => {
  let asked = 0;
  const query = createSteadyQuery({
    appliedIndex: () => 7,
    query: async () => {
      asked += 1;
      return { value: null, appliedIndex: 7 };
    },
  });
  expect(await query('pins.get', { cid: 'a' })).toBeNull();
  expect(await query('pins.get', { cid: 'a' })).toBeNull();
  expect(asked).toBe(1);
});
