// A running shop for restores in place: real PHP before a tree of another user's, its database, a snapshot of each, and a newer present state.
import { randomBytes } from 'node:crypto';
import { appendFileSync, chmodSync, chownSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openCatalog } from '../../src/catalog/open.ts';
import { systemClock } from '../../src/clock.ts';
import type { Mariadb } from '../servers/mariadb.ts';
import { startMariadb } from '../servers/mariadb.ts';
import { type PhpFront, startPhpFront } from '../servers/php-front.ts';
import { makePhpShop, phpShopSql } from '../servers/php-shop.ts';
import { bash } from '../source/files/tree.ts';
import { makeWorld, type World, type WorldOptions } from '../world/world.ts';

/** Nobody's on any machine that we know of. */
export const OWNER = 61_241;
export const VERSION = '8.1.2';
/** As PrestaShop installs them: closing then changes values, and no count of rows. */
const OPEN = [
  { name: 'PS_SHOP_ENABLE', value: '1' },
  { name: 'PS_MAINTENANCE_IP', value: '' },
  { name: 'PS_MAINTENANCE_ALLOW_ADMINS', value: '1' },
];
const ACCOUNT = { user: 'dupont_user', password: 'pw-of-the-shop' };

/** All is in a folder; the store that is declared beside it is never asked. */
const NO_STORE = {
  name: 'none',
  store: { endpoint: 'http://127.0.0.1:9', region: 'none', accessKey: 'none', secretKey: 'none' },
} as unknown as NonNullable<WorldOptions['bucket']>;

export interface InPlaceSetting {
  readonly world: World;
  readonly server: Mariadb;
  readonly front: PhpFront;
  readonly root: string;
  /** When edition one was there. */
  readonly asOf: string;
  /** Snapshots of edition one. */
  readonly database: string;
  readonly files: string;
  /** Tree and database of this edition, as if the shop had gone on: nothing of a restore is left. */
  become(edition: string): Promise<void>;
  /** What clients see: the editions of files and database, `maintenance`, or what else it is. */
  page(): Promise<string>;
  /** Values of the shop's maintenance switch in the live database: enabled, addresses, administrators. */
  maintenance(): Promise<string>;
  /** What lies in root, and databases beside, that no shop has. */
  leftovers(): Promise<readonly string[]>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface InPlaceOptions extends Pick<WorldOptions, 'host' | 'bucket' | 'endpoint'> {
  readonly images?: number;
  /** Of each image, incompressible. Default: little text. */
  readonly imageBytes?: number;
  /** Of the one large table, of 200 bytes each. Default: 2000. */
  readonly rows?: number;
}

/** With a `bucket` that is the vault, else a folder. */
export async function makeInPlaceSetting(options: InPlaceOptions = {}): Promise<InPlaceSetting> {
  const vaults = [options.bucket ? 'offsite' : 'nas'] as const;
  const [server, world] = await Promise.all([
    startMariadb({ args: ['--local-infile=1', '--innodb-buffer-pool-size=256M'] }),
    makeWorld({ vaults, bucket: options.bucket ?? NO_STORE }),
  ]);
  const root = join(world.dir, 'www');
  const scratch = join(world.dir, 'scratch');
  mkdirSync(root);
  chmodSync(world.dir, 0o755);
  mkdirSync(scratch, { mode: 0o700 });
  chownSync(scratch, OWNER, OWNER);
  const front = await startPhpFront(root);
  await server.createDatabase('dupont', ACCOUNT);
  await server.sql(
    ['new', 'old'].map((name) => `GRANT ALL PRIVILEGES ON \`dupont\\_coffre\\_${name}\`.* TO '${ACCOUNT.user}'@'%';`).join('\n'),
  );
  const sql = (edition: string): string =>
    phpShopSql({
      version: VERSION,
      edition,
      shops: [{ id: 1, group: 1, domain: `127.0.0.1:${front.port}` }],
      images: [],
      settings: OPEN,
      products: edition === 'one' ? 4 : 5,
    });
  const become = async (edition: string): Promise<void> => {
    for (const name of ['dupont_coffre_new', 'dupont_coffre_old', 'dupont']) await server.sql(`DROP DATABASE IF EXISTS ${name}`);
    await server.sql('CREATE DATABASE dupont');
    await server.sql(
      `${sql(edition)} CREATE TABLE ps_only_${edition} (id int); CREATE TABLE ps_big (id int PRIMARY KEY, v varchar(200));
       INSERT INTO ps_big SELECT seq, ${options.rows ? 'RPAD(SHA2(seq, 512), 199, SHA2(seq + 1, 512))' : `REPEAT('${edition}', 20)`} FROM seq_1_to_${options.rows ?? 2000}`,
      { database: 'dupont' },
    );
    rmSync(scratch, { recursive: true, force: true });
    mkdirSync(scratch, { mode: 0o700 });
    chownSync(scratch, OWNER, OWNER);
    // the root itself stays: it is what the web server serves
    bash('find "$ROOT" -mindepth 1 -delete', { ROOT: root });
    makePhpShop(root, { version: VERSION, edition, database: { socketPath: server.socketPath, name: 'dupont', ...ACCOUNT } });
    for (let at = 0; at < (options.images ?? 40); at++) {
      const folder = join(root, 'img/p', String(at % 10));
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, `${at}.jpg`), options.imageBytes ? randomBytes(options.imageBytes) : `${edition} ${at} `.repeat(200));
    }
    writeFileSync(join(root, `only-${edition}.php`), `<?php // ${edition}\n`);
    bash('chown -R "$OWNER:$OWNER" "$ROOT"', { ROOT: root, OWNER: String(OWNER) });
  };
  await become('one');
  world.writeConfig({
    vaults,
    ...(options.host ? { host: options.host } : {}),
    ...(options.endpoint ? { endpoint: options.endpoint } : {}),
    database: { socketPath: server.socketPath, user: 'root', name: 'dupont' },
    files: { root, profile: 'prestashop' },
  });
  appendFileSync(world.configFile, `restore: { socket: null, scratchDir: ${scratch} }\n`);
  const { json } = await world.ok(['backup', 'dupont']);
  // as whoever orders a restore has it, meanwhile
  const catalog = await openCatalog(world.stateDir);
  const idOf = (source: string): string => json.snapshots.find((one: { source: string }) => one.source === source).id;
  return {
    ...{ world, server, front, root, asOf: systemClock.now().toString(), database: idOf('database'), files: idOf('files'), become },
    async page() {
      const { status, body } = await front.get('/', { host: `127.0.0.1:${front.port}` });
      const shown = /files \S+ (\w+), database \S+ (\w+),/.exec(body);
      if (status === 200 && shown) return `${shown[1]} ${shown[2]}`;
      return status === 503 ? 'maintenance' : `${status}: ${body.slice(0, 300)}`;
    },
    maintenance: async () =>
      (
        await server.sql(
          "SELECT GROUP_CONCAT(value ORDER BY FIELD(name,'PS_SHOP_ENABLE','PS_MAINTENANCE_IP','PS_MAINTENANCE_ALLOW_ADMINS') SEPARATOR '|') FROM dupont.ps_configuration WHERE name LIKE 'PS_MAINTENANCE%' OR name='PS_SHOP_ENABLE'",
        )
      ).trim(),
    async leftovers() {
      const files = bash(`cd "$ROOT" && { find . -name '.coffre*'; find .. -maxdepth 1 -name '.coffre*'; } | sort`, { ROOT: root })
        .split('\n')
        .filter((line) => line !== '');
      const databases = (await server.sql("SHOW DATABASES LIKE 'dupont\\_%'")).split('\n').filter((line) => line !== '');
      return [...files, ...databases];
    },
    async [Symbol.asyncDispose]() {
      await catalog[Symbol.asyncDispose]();
      await front.stop();
      await world[Symbol.asyncDispose]();
      await server.stop();
    },
  };
}
