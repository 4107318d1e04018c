import { expect, it } from 'vitest';
import { acquireLock } from '../../src/catalog/state-lock.ts';
import { makeWorld } from '../world/world.ts';

it('prune of everything while a shop is busy - it says so, ends with 7, and the others are pruned all the same', async () => {
  await using world = await makeWorld({ vaults: ['nas'], database: { socketPath: '/nowhere', user: 'nobody', name: 'nothing' } });
  await world.coffre(['status']);
  using lock = await acquireLock(world.stateDir, 'shop-dupont');
  expect(lock).not.toBeNull();
  const { status, json } = await world.coffre(['prune']);
  expect(status).toBe(7);
  expect(json.error.code).toBe('E_BUSY');
  expect(json.results.map((it: { shop: string; errors: { code: string }[] }) => [it.shop, it.errors.map((error) => error.code)])).toEqual([
    ['dupont', ['E_BUSY']],
    ['_coffre', []],
  ]);
});
