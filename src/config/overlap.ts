// Places that must not lie in one another: vaults, shops' trees, our own state.
import { relative } from 'node:path';
import type { VaultConfig } from './config.ts';
import type { KeyPath } from './problems.ts';

/** Two vaults in one place would take each other's objects for tampering. */
export function checkVaultPlaces(vaults: readonly VaultConfig[], report: (at: KeyPath, message: string) => void): void {
  for (const [index, vault] of vaults.entries()) {
    for (const earlier of vaults.slice(0, index)) {
      if (vault.type === 'filesystem' && earlier.type === 'filesystem' && overlaps(vault.path, earlier.path)) {
        report(['vaults', vault.name, 'path'], `is ${JSON.stringify(vault.path)} and overlaps vault ${earlier.name} at ${earlier.path}`);
      }
      if (vault.type === 's3' && earlier.type === 's3' && vault.endpoint === earlier.endpoint && vault.bucket === earlier.bucket) {
        const inside = (a: string, b: string): boolean => a === '' || `${b}/`.startsWith(`${a}/`);
        if (inside(vault.prefix, earlier.prefix) || inside(earlier.prefix, vault.prefix)) {
          report(['vaults', vault.name], `is in the same bucket and prefix as vault ${earlier.name}`);
        }
      }
    }
  }
}

/** Whether one of two absolute paths is, or lies in, the other. */
export function overlaps(a: string, b: string): boolean {
  return within(a, b) || within(b, a);
}

export function within(inner: string, outer: string): boolean {
  const step = relative(outer, inner);
  return step === '' || !(step === '..' || step.startsWith('../'));
}
