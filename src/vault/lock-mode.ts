// Which lock is as good as which.
import type { LockMode } from './vault.ts';

/** COMPLIANCE keeps what GOVERNANCE promises and more: nobody has a right to shorten it. */
export function isAsStrong(mode: LockMode, promised: LockMode): boolean {
  return mode === promised || (mode === 'COMPLIANCE' && promised === 'GOVERNANCE');
}
