// A tree on another machine, read by the programs that it has: GNU find and GNU tar, or by SFTP alone where it has none.
import type { Clock } from '../../clock.ts';
import { CoffreError } from '../../errors.ts';
import { gnuTarVersion, printable } from '../../host/gnu-tar.ts';
import type { Host } from '../../host/host.ts';
import { NulRecords } from '../../host/nul-records.ts';
import type { Finding, OpenOptions, Warning } from '../source.ts';
import { findRoot, findScan, gnuFindVersion, outputOf, resolveRoot } from './find-scan.ts';
import { pruneArguments } from './prune.ts';
import type { TreeToRead } from './reading.ts';
import type { RemotePlace } from './remote-place.ts';
import { sampleFinding } from './sample-finding.ts';
import { openSftpTree, sampleBySftp } from './sftp-tree.ts';

/** A channel carries little more than 2 MiB in a round trip: several of them fill a line that is far. */
const PARTS_AT_ONCE = 4;
/** What two clocks may drift apart within a run, and what asking took. */
const CLOCK_MARGIN_NS = 1_000_000_000n;
/** Entries that doctor looks at. */
const SAMPLE_ENTRIES = 2000;

/** Opens it for a reading. Throws E_FILES_ROOT, E_TOOL_MISSING, E_SSH_…, or the signal's reason. */
export async function openRemoteTree(
  tree: RemotePlace,
  { scratchDir, signal }: Pick<OpenOptions, 'scratchDir' | 'signal'>,
): Promise<TreeToRead> {
  const { host, clock, exclude, oneFileSystem } = tree;
  // Asked at once: on a line that is far each question costs its round trips, not its work.
  const [missing, resolved, configuredRoot, hostTime] = await Promise.allSettled([
    missingTool(host, signal),
    resolveRoot(host, tree.root, signal),
    findRoot(host, tree.root, signal),
    hostClock(host, clock, signal),
  ]);
  const noTool = settled(missing);
  if (noTool !== null) return await openSftpTree(tree, noTool);
  const root = settled(resolved);
  // Tells a missing right before anything else is begun.
  if (root === tree.root) settled(configuredRoot);
  else await findRoot(host, root, signal);
  const nowNs = settled(hostTime);
  return {
    host,
    root,
    parallel: PARTS_AT_ONCE,
    racyFromNs: () => nowNs() - CLOCK_MARGIN_NS,
    scan: (warn, signal) => findScan({ host, root, exclude, oneFileSystem, clock, scratchDir }, warn, signal),
  };
}

function settled<T>(result: PromiseSettledResult<T>): T {
  if (result.status === 'rejected') throw result.reason;
  return result.value;
}

/** What doctor says of it. Never throws. */
export async function checkRemoteTree(tree: RemotePlace, failed: (name: string, error: unknown) => Finding): Promise<readonly Finding[]> {
  const { host } = tree;
  const findings: Finding[] = [];
  try {
    const missing = await missingTool(host);
    if (missing !== null) {
      findings.push({
        name: 'tar',
        ok: true,
        detail: `${missing.message}: files are read by SFTP, which is slower and knows no hard links`,
      });
      findings.push(await sampleBySftp(tree, SAMPLE_ENTRIES));
      return findings;
    }
    findings.push({ name: 'tar', ok: true, detail: `GNU tar ${await gnuTarVersion(host)}, GNU find ${await gnuFindVersion(host)}` });
  } catch (error) {
    return [...findings, failed('tar', error)];
  }
  try {
    findings.push(await sample(tree));
  } catch (error) {
    findings.push(failed('files', error));
  }
  return findings;
}

/** Why its programs cannot be used; null when they can. */
async function missingTool(host: Host, signal?: AbortSignal): Promise<CoffreError | null> {
  const [tar, find] = await Promise.allSettled([gnuTarVersion(host, signal), gnuFindVersion(host, signal)]);
  for (const result of [tar, find]) {
    if (result.status === 'fulfilled') continue;
    const { reason } = result;
    const without = reason instanceof CoffreError && (reason.code === 'E_TOOL_MISSING' || reason.code === 'E_SSH_COMMAND');
    if (!without || host.subsystem === undefined) throw reason;
    return reason;
  }
  return null;
}

/** The host's own clock, in nanoseconds: late rather than early. Throws E_FILES_READ. */
async function hostClock(host: Host, clock: Clock, signal: AbortSignal): Promise<() => bigint> {
  const { out } = await outputOf(host, ['date', '+%s.%N'], signal);
  const answeredMs = clock.monotonicMs();
  const match = /^(\d+)(?:\.(\d{9}))?/.exec(out);
  if (!match) throw new CoffreError('E_FILES_READ', `${host.name} does not say what time it is`);
  const saidNs = BigInt(match[1] as string) * 1_000_000_000n + BigInt(match[2] ?? 0);
  return () => saidNs + BigInt(Math.floor((clock.monotonicMs() - answeredMs) * 1e6));
}

/** Asks for the rights on the first entries; find there runs as the user who will read. */
async function sample({ host, root: configured, exclude }: RemotePlace): Promise<Finding> {
  const root = await resolveRoot(host, configured);
  await findRoot(host, root);
  const tests = pruneArguments(root, exclude);
  const closed = ['(', '-type', 'f', '!', '-readable', '-o', '-type', 'd', '!', '(', '-readable', '-executable', ')', ')'];
  const find = host.start(['find', root, '-mindepth', '1', ...tests, ...closed, '-printf', 'n%P\\0', '-o', '-printf', 'r\\0']);
  find.stdin.end();
  find.stderr.resume();
  let seen = 0;
  const unreadable: string[] = [];
  try {
    const printed = new NulRecords();
    for await (const chunk of find.stdout.setEncoding('latin1')) {
      const records = printed.take(chunk);
      seen += records.length;
      unreadable.push(...records.filter((record) => record.startsWith('n')));
      if (seen >= SAMPLE_ENTRIES) break;
    }
  } finally {
    find.kill();
  }
  return sampleFinding(
    root,
    seen,
    unreadable.map((record): Warning => ({ kind: 'unreadable', where: printable(record.slice(1)), message: 'EACCES' })),
  );
}
