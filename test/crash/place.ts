// One installation for the crash matrix: two shops, two folders as vaults, keys and configuration, all below one directory that can be
// put back as it was. The shops' trees lie outside of it: what did not change in them must look so after that, too.
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { systemClock } from '../../src/clock.ts';
import { makeIdentity, recipientOf } from '../../src/segment/age.ts';
import { createIdentity } from '../../src/segment/identity-store.ts';
import { fingerprint, makeSigningKey, saveSigningKey } from '../../src/segment/signing-key.ts';
import { FilesystemVault } from '../../src/vault/filesystem.ts';
import { type Outcome, runHere, shiftedClock } from './composition.ts';

const run = promisify(execFile);
export const DAY_MS = 86_400_000;
export const RETENTION_DAYS = 14;
export const VAULTS = ['nas', 'far'] as const;
/** The one that things are done to, and the one that must not notice. */
export const SHOPS = ['dupont', 'martin'] as const;

/** One version of one object, as a listing without coffre tells of it. */
export interface Stored {
  readonly key: string;
  readonly versionId: string;
  readonly bytes: number;
  /** Epoch milliseconds; null: none. */
  readonly lockedUntil: number | null;
}

export interface Listing {
  readonly objects: readonly Stored[];
  readonly uploads: readonly { readonly key: string; readonly bytes: number }[];
  /** What is neither object nor write under way, and no lock of an object. */
  readonly litter: readonly string[];
}

/** What the truths are about: shops, vaults that can be looked into without coffre, and coffre's own files. */
export interface Looked {
  readonly shops: readonly string[];
  readonly sources: readonly string[];
  readonly vaults: readonly string[];
  readonly stateDir: string;
  readonly keyDir: string;
  /** The folder that a shop's files are in. */
  tree?(shop: string): string;
  list(vault: string): Promise<Listing>;
  read(vault: string, object: Stored): Promise<Buffer>;
}

export interface Place extends Looked {
  /** What a run may change, and what is put back. */
  readonly root: string;
  readonly configFile: string;
  readonly vaultPath: (vault: string) => string;
  readonly tree: (shop: string) => string;
  /** Rewrites the configuration: the shop has a database and no files. Gives the database's name, which no other place uses. */
  readonly useDatabase: (shop: string, socketPath: string) => string;
  /** Of the paper kit. */
  readonly recovery: string;
  readonly identityFile: string;
  readonly fingerprint: string;
}

/** Makes one in `dir`, which must be empty. */
export async function makePlace(dir: string): Promise<Place> {
  const root = join(dir, 'root');
  const keyDir = join(root, 'keys');
  const stateDir = join(root, 'state');
  const configFile = join(root, 'coffre.yaml');
  const vaultPath = (vault: string): string => join(root, vault);
  const tree = (shop: string): string => join(dir, 'trees', shop);
  for (const folder of [keyDir, join(dir, 'kit'), ...SHOPS.map((shop) => join(tree(shop), 'img'))])
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  const recovery = await makeIdentity();
  const recipient = await recipientOf(recovery);
  const identityFile = join(dir, 'kit', 'recovery.key');
  writeFileSync(identityFile, `${recovery}\n`, { mode: 0o600 });
  const signing = makeSigningKey();
  await saveSigningKey(join(keyDir, 'signing.key'), signing);
  for (const shop of SHOPS) {
    await createIdentity({ keyDir, shop, recoveryRecipients: [recipient], clock: systemClock });
    writeFileSync(join(tree(shop), 'index.php'), `<?php // ${shop}\n`);
    for (let i = 0; i < 12; i++) writeFileSync(join(tree(shop), 'img', `${i}.jpg`), `picture ${i} `.repeat(50 + i));
  }
  for (const name of VAULTS) {
    const vault = new FilesystemVault(
      { name, type: 'filesystem', path: vaultPath(name), media: 'disk', site: null, offsite: false },
      systemClock,
    );
    await vault.initialise();
  }
  const useDatabase = (shop: string, socketPath: string): string => {
    const name = `crash_${basename(dir)}`;
    const files = `    files: { root: ${tree(shop)}, profile: generic }`;
    const text = readFileSync(configFile, 'utf8').replace(files, `    database: { socketPath: ${socketPath}, user: root, name: ${name} }`);
    writeFileSync(configFile, text, { mode: 0o640 });
    return name;
  };
  const lines = [
    'timezone: Europe/Paris',
    `stateDir: ${stateDir}`,
    'listen: { socket: null, http: null }',
    `encryption: { keyDir: ${keyDir}, recovery: [${recipient}] }`,
    `signing: { keyFile: ${join(keyDir, 'signing.key')} }`,
    'vaults:',
    `  nas: { type: filesystem, path: ${vaultPath('nas')}, media: disk, site: here }`,
    `  far: { type: filesystem, path: ${vaultPath('far')}, media: disk, site: there, offsite: true }`,
    'plans:',
    `  plan: { retention: ${RETENTION_DAYS}d, rto: { target: 4h, calendar: 24x7 }, full: fresh }`,
    'contracts:',
    '  csi-001: { vault: far, subscribedTB: 1, period: month, price: { perTBMonth: "23.00", currency: EUR, stepTB: 1 } }',
    'shops:',
    ...SHOPS.flatMap((shop) => [
      `  ${shop}:`,
      '    plan: plan',
      '    vaults: [nas, far]',
      '    host: { type: local }',
      `    files: { root: ${tree(shop)}, profile: generic }`,
    ]),
  ];
  writeFileSync(configFile, `${lines.join('\n')}\n`, { mode: 0o640 });
  return {
    ...{ root, configFile, stateDir, keyDir, vaultPath, tree, useDatabase, recovery, identityFile, fingerprint: fingerprint(signing) },
    ...{ shops: SHOPS, sources: ['files'], vaults: VAULTS },
    list: async (vault) => listFolder(vaultPath(vault)),
    read: async (vault, { key }) => readFileSync(join(vaultPath(vault), key)),
  };
}

/** A folder that is a vault. */
export function listFolder(root: string): Listing {
  const objects: Stored[] = [];
  const uploads: { key: string; bytes: number }[] = [];
  const litter: string[] = [];
  const paths = filesBelow(root);
  const there = new Set(paths);
  for (const path of paths) {
    if (path === '.coffre-vault') continue;
    if (path.startsWith('.locks/')) {
      const key = path.slice('.locks/'.length).replace(/\.json$/, '');
      if (!there.has(key)) litter.push(path);
      continue;
    }
    const stats = statSync(join(root, path), { bigint: true });
    const versionId = `${stats.mtimeNs}-${stats.size}`;
    const bytes = Number(stats.size);
    if (basename(path).startsWith('.tmp-')) uploads.push({ key: path, bytes });
    else objects.push({ key: path, versionId, bytes, lockedUntil: lockOf(root, path, versionId) });
  }
  return { objects, uploads, litter };
}

function lockOf(root: string, key: string, versionId: string): number | null {
  try {
    const lock = JSON.parse(readFileSync(join(root, '.locks', `${key}.json`), 'utf8')) as { versionId: string; retainUntil: string };
    return lock.versionId === versionId ? Date.parse(lock.retainUntil) : null;
  } catch {
    return null;
  }
}

/** Paths of regular files, relative, in order. */
export function filesBelow(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();
}

/** Runs one command in this process, so many days from now. */
export async function coffreAt(place: Place, day: number, argv: readonly string[]): Promise<Outcome> {
  return await runHere(['--config', place.configFile, ...argv], shiftedClock(Math.round(day * DAY_MS)));
}

/** The same, and it must succeed. */
export async function okAt(place: Place, day: number, argv: readonly string[]): Promise<Outcome> {
  const outcome = await coffreAt(place, day, argv);
  if (outcome.status !== 0)
    throw new Error(
      `crash matrix: coffre ${argv.join(' ')} ended with ${outcome.status}: ${JSON.stringify(outcome.json)} ${outcome.stderr}`,
    );
  return outcome;
}

/** With the times of files to the nanosecond: a folder's version ids are made of them. */
export async function saveTemplate(place: Place, name = 'template'): Promise<void> {
  rmSync(`${place.root}.${name}`, { recursive: true, force: true });
  await run('cp', ['-a', place.root, `${place.root}.${name}`]);
}

export async function restoreTemplate(place: Place, name = 'template'): Promise<void> {
  rmSync(place.root, { recursive: true, force: true });
  await run('cp', ['-a', `${place.root}.${name}`, place.root]);
}

/** Takes out of the shops' trees what came after `kept` was listed. What stays is not touched: it must look unchanged. */
export function clearTrees(place: Place, kept: ReadonlySet<string>): void {
  for (const path of treePaths(place)) if (!kept.has(path)) rmSync(path);
}

/** All files of the shops' trees. */
export function treePaths(place: Place): string[] {
  return SHOPS.flatMap((shop) => filesBelow(place.tree(shop)).map((path) => join(place.tree(shop), path)));
}
