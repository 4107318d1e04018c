import { expect, test } from 'vitest';
import { verifiedBy } from '../../src/report/verified.ts';

const copy = (vault: string, readBytes: number, keys: readonly string[] = []) => ({
  ...{ vault, readBytes, readObjects: 3, errors: keys.map((key) => ({ code: 'E_OBJECT_ALTERED', key, message: '' })) },
});

test('a reading by the daemon, and one by the command - both are counted; an object that two snapshots use is one finding', () => {
  expect(verifiedBy(JSON.stringify({ bytes: 1.3e9, objects: 34, damaged: [{}] }))).toEqual({ bytes: 1.3e9, objects: 34, damaged: 1 });
  const snapshots = [
    { id: 's1', source: 'files', vaults: [copy('nas', 2.1e6, ['k1']), copy('offsite', 2.1e6, ['k1'])] },
    { id: 's2', source: 'files', vaults: [copy('nas', 0, ['k1'])] },
  ];
  expect(verifiedBy(JSON.stringify({ shop: 'dupont', snapshots, errors: [] }))).toEqual({ bytes: 4.2e6, objects: 9, damaged: 2 });
  expect(verifiedBy(null)).toBeNull();
});
