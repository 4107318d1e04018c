// One shop with two vaults in folders, one in the object store, and a scratch folder, for drills by the real command.
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { systemClock } from '../../../src/clock.ts';
import { FilesystemVault } from '../../../src/vault/filesystem.ts';
import { type Mariadb, startMariadb } from '../../servers/mariadb.ts';
import { makeWorld, type World } from '../../world/world.ts';
import { fillDatabase, makeTree } from './small-shop.ts';

export interface DrillWorld extends AsyncDisposable {
  readonly world: World;
  readonly root: string;
  readonly mariadb: Mariadb;
  readonly scratch: string;
  readonly restoreSocket: string;
  readonly vaults: Readonly<Record<'nas' | 'nas2', string>>;
  /** `rto`: the plan's target; `plan`: further keys of it. */
  configure(options?: { readonly rto?: string; readonly plan?: string; readonly scratchDir?: string; readonly restore?: string }): void;
  /** What drills left in scratch. */
  left(): string[];
  /** A stored object, for which something else is put in its place, known to the catalog as what is to be there. */
  forge(vault: 'nas' | 'nas2', key: string, change: (content: string) => string): void;
  rows<T>(sql: string): T[];
}

export async function makeDrillWorld(): Promise<DrillWorld> {
  const mariadb = await startMariadb();
  try {
    await mariadb.createDatabase('dupont');
    await fillDatabase(mariadb, 'dupont');
    const root = join(mariadb.dir, 'www');
    makeTree(root);
    const shop = {
      ...({ vaults: ['nas'], listen: true, limits: { jitter: '0s' } } as const),
      database: { socketPath: mariadb.socketPath, user: 'root', name: 'dupont' },
      files: { root, profile: 'prestashop' },
    };
    const world = await makeWorld(shop);
    // the scratch folder's owner goes through it
    chmodSync(world.dir, 0o711);
    const vaults = { nas: world.nasPath, nas2: join(world.dir, 'nas2') };
    mkdirSync(vaults.nas2, { mode: 0o700 });
    const second = { name: 'nas2', type: 'filesystem', path: vaults.nas2, media: 'disk', site: 'there', offsite: true } as const;
    await new FilesystemVault(second, systemClock).initialise();
    const scratch = join(world.dir, 'scratch');
    const drills = join(scratch, 'drills');
    const restoreSocket = join(world.dir, 'restore.sock');
    const sqlite = <T>(use: (db: DatabaseSync) => T): T => {
      const db = new DatabaseSync(join(world.stateDir, 'catalog.db'));
      try {
        return use(db);
      } finally {
        db.close();
      }
    };
    const relearn = (vault: 'nas' | 'nas2', key: string): void => {
      const path = join(vaults[vault], key);
      const [mtime = '', size = '', sha256 = ''] = execFileSync('sh', ['-c', 'stat -c "%.9Y %s" "$0"; sha256sum < "$0"', path])
        .toString()
        .split(/\s+/);
      sqlite((db) =>
        db
          .prepare('update objects set versionId = ?, sizeBytes = ?, sha256 = ? where vault = ? and "key" = ? and state = \'stored\'')
          .run(`${mtime.replace('.', '')}-${size}`, Number(size), sha256, vault, key),
      );
    };
    const it: DrillWorld = {
      ...{ world, mariadb, root, scratch, restoreSocket, vaults },
      configure({ rto = '4h', plan = '', scratchDir = scratch, restore = '' } = {}) {
        world.writeConfig(shop);
        const text = readFileSync(world.configFile, 'utf8')
          .replace(/^ {2}offsite: .*$/m, `$&\n  nas2: { type: filesystem, path: ${vaults.nas2}, offsite: true, site: there }`)
          .replace('vaults: [nas]', 'vaults: [nas, nas2, offsite]')
          .replace('target: 4h', `target: ${rto}`)
          .replace('full: fresh }', `full: fresh${plan} }`);
        writeFileSync(world.configFile, `${text}restore: { socket: ${restoreSocket}, scratchDir: ${scratchDir}${restore} }\n`);
      },
      left: () => (existsSync(drills) ? readdirSync(drills).filter((name) => name.startsWith('drill-')) : []),
      forge(vault, key, change) {
        const path = join(vaults[vault], key);
        const run = (program: string, args: string[], input: Buffer): Buffer => execFileSync(program, args, { input });
        const identity = join(world.keyDir, 'identities', 'dupont.key');
        const open = (): Buffer => run('zstd', ['-dc'], run('age', ['-d', '-i', identity], readFileSync(path)));
        const recipient = run('age-keygen', ['-y', identity], Buffer.alloc(0)).toString().trim();
        const forged = run('age', ['-r', recipient], run('zstd', ['-c'], Buffer.from(change(open().toString('utf8')))));
        chmodSync(path, 0o600);
        writeFileSync(path, forged);
        relearn(vault, key);
      },
      rows: <T>(text: string) => sqlite((db) => db.prepare(text).all() as T[]),
      async [Symbol.asyncDispose]() {
        await world[Symbol.asyncDispose]();
        await mariadb.stop();
      },
    };
    it.configure();
    await world.ok(['backup', 'dupont']);
    return it;
  } catch (error) {
    await mariadb.stop();
    throw error;
  }
}
