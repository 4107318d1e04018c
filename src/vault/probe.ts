// Probe before trust: shows on the live vault that what it says about locks is true. At start, daily, and in doctor.
import type { Clock } from '../clock.ts';
import { CoffreError } from '../errors.ts';
import { FilesystemVault } from './filesystem.ts';
import { probeFilesystem } from './probe-filesystem.ts';
import type { ProbeOptions, ProbeResult } from './probe-report.ts';
import type { CredentialRights } from './probe-rights.ts';
import type { Vault } from './vault.ts';

/** Every probe writes below this, so that a listing tells its objects from all others. */
export const PROBE_PREFIX = '_coffre/probe/';

/**
 * Probes `vault`. What the vault does or refuses is told by the steps and the outcome, never thrown; what the recorder
 * throws (a catalog that cannot be written) is told as a failed step too. For a filesystem vault `proven` means usable:
 * its locks stay advisory.
 */
export async function probeVault(vault: Vault, clock: Clock, options: ProbeOptions): Promise<ProbeResult> {
  if (vault instanceof FilesystemVault) return await probeFilesystem(vault, clock, options, PROBE_PREFIX);
  // whoever opened an S3 vault has loaded its SDK: a daemon that waits, and commands without one, need not
  const { S3Vault } = await import('./s3.ts');
  const { probeS3 } = await import('./probe-s3.ts');
  if (vault instanceof S3Vault) return await probeS3(vault, clock, options, PROBE_PREFIX);
  throw new CoffreError('E_INTERNAL', `vault ${vault.name} is of a kind that has no probe`);
}

/** What each credential of a bucket can really do; [] for a folder, which has none. */
export async function probeCredentials(vault: Vault, clock: Clock, options: ProbeOptions): Promise<readonly CredentialRights[]> {
  if (vault instanceof FilesystemVault) return [];
  const { S3Vault } = await import('./s3.ts');
  const { probeRights } = await import('./probe-rights.ts');
  return vault instanceof S3Vault ? await probeRights(vault, clock, options, PROBE_PREFIX) : [];
}
