// The checkpoints that a vault holds: which are ours, how far back they reach in one chain, and what the newest one says.
import { isChained } from '../billing/recovered.ts';
import type { Checkpoint } from '../segment/checkpoint.ts';
import { DAEMON_PREFIX, parseKey } from '../segment/layout.ts';
import type { ListedVersion } from '../vault/vault.ts';
import { openCheckpointVersion, type RebuildFinding, type RebuildVault, verdictOf } from './rebuild-read.ts';

export interface FoundCheckpoint {
  readonly version: ListedVersion;
  readonly time: string;
  readonly after: Checkpoint['ledger']['after'];
  readonly until: Checkpoint['ledger']['until'];
  /** Its rows follow from each other. */
  readonly chained: boolean;
}

export interface FoundCheckpoints {
  /** Oldest first. */
  readonly all: readonly FoundCheckpoint[];
  readonly newest: Checkpoint | null;
  /** Of the ledger's pages, those that make one chain up to the newest. */
  readonly chain: readonly FoundCheckpoint[];
  /** Fingerprints that count: the given ones, and those that a checkpoint signed by one of them names. */
  readonly trusted: readonly string[];
  readonly findings: readonly RebuildFinding[];
  /** There is no recovery identity: those that are sealed were left closed, and are neither ours nor foreign. */
  readonly closed: boolean;
  /** Everything under the daemon's own prefix, delete markers included. */
  readonly versions: readonly ListedVersion[];
}

/** Reads them all. Throws what the vault throws. */
export async function readCheckpoints(
  from: RebuildVault,
  recovery: readonly string[],
  fingerprints: readonly string[],
): Promise<FoundCheckpoints> {
  const versions: ListedVersion[] = [];
  for await (const version of from.vault.listVersions(DAEMON_PREFIX)) versions.push(version);
  const findings: RebuildFinding[] = [];
  const byKey = new Map<string, ListedVersion[]>();
  for (const version of versions) {
    const parsed = parseKey(version.key);
    if (version.isDeleteMarker || parsed?.type !== 'state' || (parsed.encrypted && recovery.length === 0)) continue;
    byKey.set(version.key, [version, ...(byKey.get(version.key) ?? [])]);
  }
  let trusted: readonly string[] = [...fingerprints];
  let newest: Checkpoint | null = null;
  const all: FoundCheckpoint[] = [];
  // newest first: it names the keys that signed the older ones
  for (const [, candidates] of [...byKey].sort(([a], [b]) => (a < b ? 1 : -1))) {
    let found = false;
    // a listing gives a key's newest version first; the oldest one is ours
    for (const version of candidates) {
      if (found) {
        findings.push(finding(version, 'foreign version on a checkpoint’s key'));
        continue;
      }
      try {
        const checkpoint = await openCheckpointVersion(from, version, recovery, trusted);
        if (newest === null) trusted = [...new Set([...trusted, ...checkpoint.signers])];
        newest ??= checkpoint;
        const { after, until } = checkpoint.ledger;
        all.unshift({ version, time: checkpoint.time, after, until, chained: isChained(checkpoint.ledger) });
        found = true;
      } catch (error) {
        const verdict = verdictOf(error, 'checkpoint');
        if (verdict === null) throw error;
        findings.push(finding(version, verdict));
      }
    }
  }
  return { all, newest, chain: chainOf(all), trusted, findings, closed: recovery.length === 0, versions };
}

/** The longest row of checkpoints up to the newest in which each begins where, or before, the one before it ends. Pure. */
export function chainOf(all: readonly FoundCheckpoint[]): FoundCheckpoint[] {
  const chain: FoundCheckpoint[] = [];
  for (const one of [...all].reverse()) {
    const next = chain[0];
    if (!one.chained) break;
    if (next !== undefined && !(one.until.row === next.after.row && one.until.hash === next.after.hash) && one.until.row <= next.after.row)
      break;
    if (next !== undefined && next.after.row === 0) break;
    chain.unshift(one);
  }
  return chain;
}

function finding(version: ListedVersion, what: string): RebuildFinding {
  return { key: version.key, versionId: version.versionId, what, sizeBytes: version.sizeBytes };
}
