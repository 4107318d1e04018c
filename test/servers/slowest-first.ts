// The order of test files: the slowest ones begin, so that no worker is left alone with one at the end.
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Below test/, the slowest first; every other file takes less than ten seconds. A clone has no times of earlier runs to go by. */
const SLOW = [
  'restore/in-place',
  'restore/in-place-ssh',
  'restore/database',
  'acceptance/fault-matrix.backup',
  'acceptance/fault-matrix.reading',
  'acceptance/fault-matrix.filesystem',
  'crash/matrix',
  'backup/kill',
  'source/mariadb/hammer',
  'cli/daemon',
  'backup/slow-drip',
  'backup/checkpoint',
  'cli/daemon-mends',
  'package/packages',
  'acceptance/database-faults',
  'cli/doctor',
  'acceptance/locks',
  'acceptance/errors.disk',
  'cli/restore-files',
  'restore/drill/drill',
  'target/mariadb/swap-crash',
  'acceptance/integrity.database',
  'acceptance/rights',
  'target/files/hostile',
  'acceptance/files-fidelity-rounds',
  'target/mariadb/swap',
  'acceptance/errors.database',
  'shop/shop',
  'target/shop/running-shop',
  'cli/billing',
  'demo/oracles',
  'acceptance/ssh-database',
  'source/mariadb/checklist',
  'backup/increments',
  'cli/shop-database',
  'cli/init',
  'vault/s3.faults',
  'vault/s3.conformance',
  'acceptance/files-fidelity-bytes',
  'vault/probe',
  'cli/screens',
  'acceptance/files-fidelity',
  'restore/damage',
  'cli/vault',
  'acceptance/by-hand',
  'source/mariadb/modes',
  'source/files/ssh-backup',
  'restore/verify',
  'acceptance/secrets',
  'source/mariadb/wide-rows',
  'source/mariadb/ladder-held',
  'segment/seal-pool',
];

function rank({ moduleId }: TestSpecification): number {
  const at = SLOW.findIndex((name) => moduleId.endsWith(`/test/${name}.test.ts`));
  return at === -1 ? SLOW.length : at;
}

export class SlowestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    // those that are not named as vitest has them: failed before, slow before, large
    return (await super.sort(files)).toSorted((a, b) => rank(a) - rank(b));
  }
}
