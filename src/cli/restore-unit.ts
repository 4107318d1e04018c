// `coffre restore-unit`: what systemd starts for each connection to coffre-restore.socket. First as root, then as the owner of the shop's tree.
import { lstatSync, readFileSync, realpathSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { type Command, Option } from 'commander';
import { openCatalogToRead } from '../catalog/open.ts';
import { getSnapshot } from '../catalog/snapshots.ts';
import type { Clock } from '../clock.ts';
import { withDeadline } from '../clock.ts';
import type { Config, ShopConfig } from '../config/config.ts';
import { loadConfig } from '../config/load.ts';
import { asCoffreError, CoffreError } from '../errors.ts';
import { restoreFiles } from '../restore/execute.ts';
import { shopIdentities, trustedKeys, vaultOrder } from '../restore/keys.ts';
import { compilePaths } from '../restore/paths.ts';
import type { RestoreProgress } from '../restore/progress.ts';
import { failureEvent, LONGEST_REQUEST_BYTES, parseRequest, type RestoreEvent, type RestoreRequest } from '../restore/request.ts';
import type { Vault } from '../vault/vault.ts';
import type { RestoreAdapters } from './adapters.ts';
import type { CliContext } from './context.ts';
import { filesTargetOptions, landedFiles } from './restore-files.ts';
import { findShop } from './shop.ts';

/** A request is sent at once or not at all. */
const REQUEST_WITHIN_MS = 10_000;
/** Between two reports of progress. */
const REPORT_EVERY_MS = 500;
const SETPRIV = '/usr/bin/setpriv';

/** Who owns a tree, and so may write into it. */
interface Owner {
  readonly uid: number;
  readonly gid: number;
}

export function registerRestoreUnit(program: Command, context: CliContext): void {
  program
    .command('restore-unit', { hidden: true })
    .description('serve one restore request on standard input (systemd runs this, for coffre-restore.socket)')
    .argument('<instance>', 'name of the unit’s instance, which ends with the uid of whoever asked')
    .addOption(new Option('--as-owner <request>', 'the request, once this process is the tree’s owner').hideHelp())
    .addHelpText('after', '\nExample:\n  systemctl start coffre-restore.socket\n')
    .action(async (instance: string, options: { readonly asOwner?: string }) => {
      if (!context.restore.here) return context.restore.become();
      const { adapters } = context.restore;
      const tell = (event: RestoreEvent): void => context.io.out(`${JSON.stringify(event)}\n`);
      try {
        const file = program.getOptionValue('config') as string | undefined;
        if (file === undefined) throw new CoffreError('E_USAGE', 'restore-unit needs --config');
        const config = loadConfig(file, context.io.env);
        if (options.asOwner === undefined) return await becomeOwner(context, config, file, instance);
        await restoreAsOwner(context, adapters, config, parseRequest(options.asOwner), tell);
        context.io.setExitStatus(0);
      } catch (error) {
        const failure = asCoffreError(error);
        tell(failureEvent(failure));
        context.io.setExitStatus(failure.exitStatus);
      }
    });
}

/** As root: reads the request, and becomes the owner of the tree it is about before anything else is opened. Never returns. */
async function becomeOwner({ io, clock }: CliContext, config: Config, file: string, instance: string): Promise<never> {
  const line = await withDeadline(
    clock,
    REQUEST_WITHIN_MS,
    () => new CoffreError('E_RESTORE_REFUSED', 'no request came'),
    () => firstLine(io.stdin),
    io.signal,
  );
  const request = parseRequest(line);
  const { shop, root } = admit(config, request, uidOfPeer(instance));
  const owner = ownerOf(shop, root);
  const groups = isNamed(owner.uid) ? '--init-groups' : '--clear-groups';
  const capabilities = ['inh-caps', 'ambient-caps', 'bounding-set'].map((set) => `--${set}=-all,+dac_read_search`);
  // no_setuid_fixup: access(2), which SQLite asks for the files beside the catalog, then counts the capability too
  const identity = [
    `--reuid=${owner.uid}`,
    `--regid=${owner.gid}`,
    groups,
    '--securebits=+no_setuid_fixup',
    ...capabilities,
    '--no-new-privs',
  ];
  const command = ['--config', file, 'restore-unit', instance, '--as-owner', JSON.stringify(request)];
  const self = [process.execPath, ...process.execArgv, process.argv[1] as string, ...command];
  process.execve?.(SETPRIV, [SETPRIV, ...identity, '--', ...self], process.env);
  throw new CoffreError('E_TOOL_MISSING', `${SETPRIV} cannot be started`, { hint: 'apt-get install util-linux' });
}

/**
 * Whether this request may be served, and where it goes: the shop's own tree, on this machine. Whoever is root may ask for anything that root
 * could do himself; the daemon for what the configuration, which it cannot write, leaves to it. Throws E_RESTORE_REFUSED, E_UNKNOWN_SHOP.
 */
export function admit(config: Config, request: RestoreRequest, peerUid: number): { readonly shop: ShopConfig; readonly root: string } {
  if (peerUid !== 0 && !config.restore.unattended) {
    throw new CoffreError('E_RESTORE_REFUSED', 'only root may have a shop restored in place', {
      hint: `restore.unattended: true in ${config.file} lets the daemon do it; systemd/RIGHTS.md says what that gives away`,
    });
  }
  if (peerUid !== 0 && request.keepSetuid) throw new CoffreError('E_RESTORE_REFUSED', 'only root may bring setuid bits and devices back');
  const shop = findShop(config, request.shop);
  if (request.from !== null && !shop.vaults.includes(request.from)) {
    throw new CoffreError('E_RESTORE_REFUSED', `shop ${shop.name} has no such vault`);
  }
  if (shop.host.type !== 'local' || shop.files === null) {
    throw new CoffreError('E_RESTORE_REFUSED', `shop ${shop.name} has no files on this machine`, {
      hint: 'coffre restore with --to-host brings files to the shop’s own host',
    });
  }
  return { shop, root: shop.files.root };
}

/** The last part of `N-PID-UID`, as Accept=yes names instances. Throws E_RESTORE_REFUSED when it says nothing. */
export function uidOfPeer(instance: string): number {
  const uid = /^\d+-(?:.*-)?(\d+)$/.exec(instance)?.[1];
  if (uid === undefined) throw new CoffreError('E_RESTORE_REFUSED', 'systemd does not say who asked');
  return Number(uid);
}

/** Throws E_RESTORE_REFUSED for a tree that is root's: nothing would be left behind by becoming its owner. */
export function ownerOf(shop: ShopConfig, root: string): Owner {
  const refuse = (what: string, hint: string): CoffreError => new CoffreError('E_RESTORE_REFUSED', `${root} ${what}`, { hint });
  const stats = lstatSync(root, { throwIfNoEntry: false });
  if (!stats) throw refuse('is not there: nobody knows whose it is', `mkdir it and chown it to the owner of ${shop.name}, then again`);
  // a link on the way is somebody's to turn, who need not be the owner of what it leads to
  if (!stats.isDirectory() || realpathSync(root) !== root) throw refuse('leads through a symbolic link', 'give files.root without one');
  if (stats.uid === 0)
    throw refuse('belongs to root', `chown it to the owner of ${shop.name}, or restore as root: coffre restore --to-dir`);
  return { uid: stats.uid, gid: stats.gid };
}

/** As the owner: everything is asked once more, because somebody may have exchanged the directory meanwhile. */
async function restoreAsOwner(
  { io, clock }: CliContext,
  adapters: RestoreAdapters,
  config: Config,
  request: RestoreRequest,
  tell: (event: RestoreEvent) => void,
): Promise<void> {
  const shop = findShop(config, request.shop);
  const root = shop.files?.root;
  if (root === undefined || ownerOf(shop, root).uid !== process.geteuid?.()) {
    throw new CoffreError('E_RESTORE_REFUSED', 'the tree’s owner changed while the restore began');
  }
  const gone = new AbortController();
  // nobody waits for it any more; as after any interruption, the same request goes on
  const leave = (): void => gone.abort(new CoffreError('E_INTERRUPTED', 'whoever asked for the restore is gone'));
  io.stdin.on('end', leave).on('close', leave).resume();
  const signal = AbortSignal.any([io.signal, gone.signal]);
  await using catalog = await openCatalogToRead(config.stateDir);
  const snapshot = await getSnapshot(catalog, request.snapshot);
  if (snapshot.shop !== shop.name || snapshot.source !== 'files') {
    throw new CoffreError('E_UNKNOWN_SNAPSHOT', `shop ${shop.name} has no snapshot ${request.snapshot} of its files`);
  }
  const vaults: Vault[] = [];
  try {
    const identities = await shopIdentities(config, shop.name);
    const trusted = await trustedKeys(config);
    for (const vault of vaultOrder(config, shop, request.from)) vaults.push(await adapters.openVault(vault));
    const matches = compilePaths(request.paths);
    const options = { table: [], overwrite: true, delete: request.delete, checksum: request.checksum, keepSetuid: request.keepSetuid };
    const target = await adapters.openFilesTarget(root, filesTargetOptions(shop, options, snapshot, matches));
    const onProgress = throttled(clock, (progress: RestoreProgress) => tell({ event: 'progress', progress }));
    const onProblem = (id: string, { vault, key, code, message }: { vault: string; key: string; code: string; message: string }): void =>
      tell({ event: 'damaged', problem: { snapshot: id, vault, key, code, message } });
    const deps = { catalog, clock, vaults, identities, trusted, signal, onProgress, onProblem };
    const restored = await restoreFiles(deps, snapshot, target, matches).finally(() => target.close());
    const whole = snapshot.complete === 1 ? {} : { incomplete: true };
    tell({ event: 'done', result: { ...landedFiles(restored, target), bySizeAndTime: !request.checksum, ...whole } });
  } finally {
    for (const vault of vaults) await vault.close().catch(() => {});
    // its end would be taken for that of whoever asked
    io.stdin.off('end', leave).off('close', leave).destroy();
  }
}

async function firstLine(input: Readable): Promise<string> {
  let text = '';
  for await (const chunk of input) {
    text += String(chunk);
    const end = text.indexOf('\n');
    if (end >= 0) return text.slice(0, end);
    if (text.length > LONGEST_REQUEST_BYTES) break;
  }
  throw new CoffreError('E_RESTORE_REFUSED', 'the connection ended before a request came, or it is too long to be one');
}

/** Whether the system has a name for it, and so a list of its groups. */
function isNamed(uid: number): boolean {
  return readFileSync('/etc/passwd', 'latin1')
    .split('\n')
    .some((line) => line.split(':')[2] === String(uid));
}

function throttled<T>(clock: Clock, tell: (value: T) => void): (value: T) => void {
  let lastMs = Number.NEGATIVE_INFINITY;
  return (value) => {
    const nowMs = clock.monotonicMs();
    if (nowMs - lastMs < REPORT_EVERY_MS) return;
    lastMs = nowMs;
    tell(value);
  };
}
