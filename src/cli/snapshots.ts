// `coffre snapshots` and `coffre show`: what there is, from the catalog and the daemon's own copies of indexes and manifests.
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { Temporal } from 'temporal-polyfill';
import { indexCopyPath, manifestCopyPath } from '../backup/state-files.ts';
import { drilledSnapshots } from '../catalog/drills.ts';
import { gapsOf } from '../catalog/gaps.ts';
import { openCatalog } from '../catalog/open.ts';
import { snapshotDocument, stateOf } from '../catalog/snapshot-document.ts';
import { getSnapshot, isBackup, listSnapshots, type SnapshotWithCopies } from '../catalog/snapshots.ts';
import { CoffreError } from '../errors.ts';
import { printablePath } from '../restore/members.ts';
import { compilePaths } from '../restore/paths.ts';
import { readIndex } from '../segment/index-file.ts';
import type { SignedManifest } from '../segment/manifest-types.ts';
import { type ChunkEntry, type Consistency, type FileEntry, type IndexEntry, isFileEntry, type Warning } from '../source/source.ts';
import { action, type CliContext, type Invocation } from './context.ts';
import { neededDaemon } from './daemon/needed.ts';
import { formatBytes, formatInstant, printable, table } from './output.ts';
import { findShop } from './shop.ts';

export function registerSnapshots(program: Command, context: CliContext): void {
  program
    .command('snapshots')
    .description('list snapshots, newest first')
    .argument('[shop]', 'only of this shop')
    .addHelpText('after', '\nExample:\n  coffre snapshots dupont\n')
    .action(
      action(context, async (invocation, shop: string | undefined) => {
        const snapshots = await (invocation.readsCatalog() ? snapshotsHere(invocation, shop) : snapshotsOfDaemon(invocation, shop));
        const timezone = invocation.timezone();
        return {
          document: { snapshots },
          text: table(
            [
              { title: 'snapshot' },
              { title: 'shop' },
              { title: 'source' },
              { title: 'purpose' },
              { title: 'as of' },
              { title: 'read', align: 'right' },
              { title: 'stored', align: 'right' },
              { title: 'vaults' },
              { title: 'locked until' },
              { title: 'verified' },
              { title: 'drilled' },
              { title: 'state' },
            ],
            snapshots.map((snapshot) => [
              snapshot.id,
              snapshot.shop,
              snapshot.source,
              snapshot.purpose ?? 'backup',
              formatInstant(Temporal.Instant.from(snapshot.asOf), timezone),
              formatBytes(snapshot.plainBytes),
              formatBytes(snapshot.storedBytes),
              [...snapshot.vaults.map(({ vault }) => vault), ...snapshot.lacking.map(({ vault }) => `not ${vault}`)].join(', '),
              lockedUntil(snapshot, timezone),
              verifiedText(snapshot, timezone),
              drilledText(snapshot, timezone),
              snapshot.state,
            ]),
            'no snapshots yet: coffre backup SHOP takes one',
          ),
        };
      }),
    );
}

type SnapshotDocument = ReturnType<typeof snapshotDocument>;

async function snapshotsHere(invocation: Invocation, shop: string | undefined): Promise<SnapshotDocument[]> {
  const config = invocation.config();
  if (shop !== undefined) findShop(config, shop);
  await using catalog = await openCatalog(config.stateDir);
  const snapshots = await listSnapshots(catalog, shop === undefined ? {} : { shop });
  const gaps = await gapsOf(catalog, shop);
  const drilled = await drilledSnapshots(catalog.db, shop);
  return snapshots.map((snapshot) => snapshotDocument(snapshot, gaps, drilled));
}

async function snapshotsOfDaemon(invocation: Invocation, shop: string | undefined): Promise<SnapshotDocument[]> {
  const daemon = await neededDaemon(invocation);
  const asked = shop === undefined ? '' : `?${new URLSearchParams({ shop })}`;
  return (await daemon.readAll(`/snapshots${asked}`, 'snapshots', invocation.signal)) as SnapshotDocument[];
}

/** The end of the lock that counts: the longest real one; an advisory one is said to be advisory. */
function lockedUntil({ vaults }: SnapshotDocument, timezone: string): string {
  const locks = vaults.flatMap(({ lock }) => (lock === null ? [] : { mode: lock.mode, end: Temporal.Instant.from(lock.retainUntil) }));
  locks.sort((a, b) => Temporal.Instant.compare(b.end, a.end));
  const real = locks.find(({ mode }) => mode !== 'advisory');
  const shown = real ?? locks[0];
  if (!shown) return 'not locked';
  const end = formatInstant(shown.end, timezone);
  return real ? end : `${end} (advisory)`;
}

function verifiedText({ vaults }: SnapshotDocument, timezone: string): string {
  const failed = vaults.find(({ verifyError }) => verifyError !== null);
  if (failed) return `${failed.vault}: ${failed.verifyError}`;
  const times = vaults.flatMap(({ verifiedAt }) => (verifiedAt === null ? [] : Temporal.Instant.from(verifiedAt)));
  const [oldest] = times.sort(Temporal.Instant.compare);
  return oldest === undefined || times.length < vaults.length ? 'not yet' : formatInstant(oldest, timezone);
}

/** The newest drill that restored it; whoever it did not come back for reads why in coffre drill show. */
function drilledText({ drilled }: SnapshotDocument, timezone: string): string {
  if (!drilled) return 'not yet';
  return drilled.passed ? formatInstant(Temporal.Instant.from(drilled.at), timezone) : `failed: ${drilled.code}`;
}

/** Lines of an index that are kept for --json; a tree of a million files is for a path. */
const MOST_ENTRIES = 100_000;

export function registerShow(program: Command, context: CliContext): void {
  program
    .command('show')
    .description('show a snapshot’s manifest, or the files or tables it holds')
    .argument('<snapshot>', 'id, or the beginning of one')
    .argument('[path]', 'a file, a folder (`.` for everything), a pattern as restore --path takes them (*.php), or a table')
    .addHelpText('after', "\nExample:\n  coffre show 01jd2k\n  coffre show 01jd2k img/p\n  coffre show 01jd2k '*.php'\n")
    .action(
      action(context, async (invocation, id: string, path: string | undefined) => {
        const config = invocation.config();
        await using catalog = await openCatalog(config.stateDir);
        const snapshot = await getSnapshot(catalog, id);
        if (path === undefined) {
          const manifest = await ownManifest(config.stateDir, snapshot);
          const summary = snapshotDocument(
            snapshot,
            await gapsOf(catalog, snapshot.shop),
            await drilledSnapshots(catalog.db, snapshot.shop),
          );
          return {
            document: { snapshot: summary, warnings: JSON.parse(snapshot.warnings), manifest },
            text: describeSnapshot(snapshot, manifest, config.timezone),
          };
        }
        const file = indexCopyPath(config.stateDir, snapshot.shop, snapshot.id);
        if (!existsSync(file)) {
          throw new CoffreError('E_STATE', `the local index of ${snapshot.id} is missing: ${file}`, {
            hint: 'a restore does without it; all of them anew: move stateDir aside, then coffre catalog rebuild --from VAULT',
          });
        }
        const wanted = Buffer.from(path.replace(/^\.\//, '').replace(/\/+$/, '') || '.').toString('latin1');
        const matches = HAS_PATTERN.test(path) ? compilePaths([path]) : null;
        const entries: IndexEntry[] = [];
        let more = 0;
        for await (const entry of readIndex(file)) {
          // a file may be named like a pattern
          if (!isBelow(entry, wanted) && !(isFileEntry(entry) && matches?.(entry.path))) continue;
          if (entries.length < MOST_ENTRIES) entries.push(entry);
          else more++;
        }
        if (entries.length === 0)
          throw new CoffreError('E_UNKNOWN_SNAPSHOT', `snapshot ${snapshot.id} holds no ${JSON.stringify(path)}`, {
            hint: `coffre show ${snapshot.id} . lists everything`,
          });
        entries.sort(byPath);
        return {
          document: { snapshot: snapshot.id, entries: entries.map(entryDocument), omitted: more },
          text: `${entriesText(entries, config.timezone)}${more > 0 ? `\n… and ${more} more` : ''}`,
        };
      }),
    );
}

/** What a source found out about what it read, as far as it is worth a line. */
const SHOWN_FACTS = [
  ['application', 'application'],
  ['system', 'system'],
  ['secrets', 'secrets in'],
  ['leftOut', 'left out'],
] as const;

/** One line for each fact, then one for each vault, then the warnings. */
function describeSnapshot(snapshot: SnapshotWithCopies, manifest: SignedManifest['manifest'] | null, timezone: string): string {
  const when = (epochMs: number): string => formatInstant(Temporal.Instant.fromEpochMilliseconds(epochMs), timezone);
  const counts = Object.entries(JSON.parse(snapshot.counts) as Record<string, number>).map(([name, count]) => `${count} ${name}`);
  const consistency = snapshot.consistency === null ? null : (JSON.parse(snapshot.consistency) as Consistency);
  const facts: [string, string][] = [
    ['snapshot', snapshot.id],
    ['shop', `${snapshot.shop}, ${snapshot.source}`],
    ['state', stateOf(snapshot)],
    ['purpose', isBackup(snapshot) ? 'backup' : 'safety: what a restore in place replaced; only its id restores it'],
    ['as of', when(snapshot.asOf)],
    ['completed', when(snapshot.completedAt)],
    ['kept until', when(snapshot.keepUntil)],
    ['holds', `${counts.join(', ')}, ${formatBytes(snapshot.plainBytes)}`],
    [
      'stored',
      `${formatBytes(snapshot.storedBytes)} in ${snapshot.segments} segments, ${snapshot.reusedSegments} of them reused; ${snapshot.full ? 'a full reading' : 'an increment'}`,
    ],
  ];
  if (consistency) {
    const gaps = consistency.notCovered.length > 0 ? `, without ${consistency.notCovered.join(', ')}` : '';
    facts.push(['consistent', `${consistency.acrossTables ? 'across tables' : 'not across tables'} (${consistency.method}${gaps})`]);
  }
  for (const [key, title] of SHOWN_FACTS) {
    const said = manifest?.server?.[key];
    if (said !== undefined) facts.push([title, printable(said)]);
  }
  for (const copy of snapshot.copies) {
    const lock = copy.retainUntil === null ? 'not locked' : `${copy.lockMode} until ${when(copy.retainUntil)}`;
    const verified = copy.verifyError ?? (copy.verifiedAt === null ? 'not verified yet' : `verified ${when(copy.verifiedAt)}`);
    facts.push([`in ${copy.vault}`, `${lock}, ${verified}`]);
  }
  const width = Math.max(...facts.map(([name]) => name.length));
  const lines = facts.map(([name, value]) => `${name.padEnd(width)}  ${value}`);
  for (const warning of JSON.parse(snapshot.warnings) as Warning[]) {
    lines.push(
      `warning: ${printable(warning.where)}: ${printable(warning.message)}${warning.kind === 'other' ? '' : ` (${warning.kind})`}`,
    );
  }
  return lines.join('\n');
}

async function ownManifest(stateDir: string, snapshot: SnapshotWithCopies): Promise<SignedManifest['manifest'] | null> {
  for (const copy of snapshot.copies) {
    const path = manifestCopyPath(stateDir, snapshot.shop, snapshot.id, copy.vault);
    if (existsSync(path)) return (JSON.parse(await readFile(path, 'utf8')) as SignedManifest).manifest;
  }
  return null;
}

const HAS_PATTERN = /[*?\\]/;

/** A directory before what is in it; parts of a database stay in the order in which they are restored. */
function byPath(a: IndexEntry, b: IndexEntry): number {
  if (!isFileEntry(a) || !isFileEntry(b)) return 0;
  // as if the slash came before every other byte
  const [left, right] = [a.path.replaceAll('/', '\0'), b.path.replaceAll('/', '\0')];
  return left < right ? -1 : left > right ? 1 : 0;
}

function isBelow(entry: IndexEntry, wanted: string): boolean {
  if (!isFileEntry(entry)) return wanted === '.' || entry.table === wanted || entry.name === wanted || wanted in entry.rows;
  return wanted === '.' || entry.path === wanted || entry.path.startsWith(`${wanted}/`);
}

function entryDocument(entry: IndexEntry): object {
  if (!isFileEntry(entry)) return entry;
  return {
    ...entry,
    path: printablePath(entry.path),
    ...(entry.target === undefined ? {} : { target: printablePath(entry.target) }),
    mode: (entry.mode & 0o7777).toString(8).padStart(4, '0'),
    mtime: Temporal.Instant.fromEpochNanoseconds(entry.mtimeNs).toString(),
    mtimeNs: undefined,
    ctimeNs: undefined,
    inode: undefined,
  };
}

/** A snapshot is of files or of a database: one kind of entry, one table for it. */
function entriesText(entries: readonly IndexEntry[], timezone: string): string {
  const chunks = entries.filter((entry) => !isFileEntry(entry));
  if (chunks.length > 0) return table([{ title: 'part' }, { title: 'tables' }, { title: 'rows', align: 'right' }], chunks.map(chunkRow));
  return table(
    [{ title: 'mode' }, { title: 'owner' }, { title: 'size', align: 'right' }, { title: 'modified' }, { title: 'name' }],
    entries.filter(isFileEntry).map((entry) => fileRow(entry, timezone)),
  );
}

/** Small tables share a part: the first ones are named. */
const MOST_TABLES_NAMED = 5;

/** A part of definitions alone has no rows. */
function chunkRow(entry: ChunkEntry): string[] {
  const names = Object.keys(entry.rows);
  const rest = names.length - MOST_TABLES_NAMED;
  const tables = `${names.slice(0, MOST_TABLES_NAMED).join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`;
  const rows = Object.values(entry.rows).reduce((a, b) => a + b, 0);
  return [entry.name, names.length > 0 ? tables : (entry.table ?? ''), names.length > 0 ? String(rows) : ''];
}

function fileRow(entry: FileEntry, timezone: string): string[] {
  const arrow = entry.target === undefined ? '' : ` -> ${printablePath(entry.target)}`;
  return [
    `${entry.type.slice(0, 1)} ${(entry.mode & 0o7777).toString(8).padStart(4, '0')}`,
    `${entry.uid}:${entry.gid}`,
    entry.type === 'file' ? formatBytes(entry.sizeBytes) : '',
    formatInstant(Temporal.Instant.fromEpochNanoseconds(entry.mtimeNs), timezone),
    `${printablePath(entry.path)}${arrow}`,
  ];
}
