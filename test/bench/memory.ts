// How much memory coffre takes with one very large file, very many small ones, one very large table, and very large rows: `npm run bench -- memory`.
import { createCipheriv } from 'node:crypto';
import { createWriteStream, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { parseArgs } from 'node:util';
import { systemClock } from '../../src/clock.ts';
import { type Mariadb, startMariadb } from '../servers/mariadb.ts';
import { makeBucket } from '../servers/s3.ts';
import { startStore } from '../servers/store.ts';
import { makeWorld, type World, type WorldOptions } from '../world/world.ts';
import { ProcessTreeWatch, type TreePeak } from './measuring/process-tree.ts';

const LIMIT_BYTES = 512 * 1024 * 1024;
const USAGE = `usage: npm run bench -- memory [--json] [--scale FRACTION] [--only file,tree,table,blob] [--vaults nas,offsite]
  full size takes about ten minutes and 20 GB of disk`;

interface Measured extends TreePeak {
  readonly step: string;
  readonly seconds: number;
}

interface Case {
  readonly name: string;
  readonly plainBytes: number;
  readonly steps: readonly Measured[];
}

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    scale: { type: 'string', default: '1' },
    only: { type: 'string', default: 'file,tree,table,blob' },
    vaults: { type: 'string', default: 'offsite' },
    help: { type: 'boolean', default: false },
  },
});
const scale = Number(values.scale);
const only = values.only.split(',');
const vaults = values.vaults.split(',') as NonNullable<WorldOptions['vaults']>;
if (values.help || !(scale > 0 && scale <= 1)) {
  console.error(USAGE);
  process.exit(values.help ? 0 : 2);
}

const say = (line: string): void => console.error(line);
const mib = (bytes: number): string => `${(bytes / 1024 / 1024).toFixed(0)} MiB`;

/** Bytes that nothing compresses, the same in every run. */
function noise(seed: string): { take(bytes: number): Buffer } {
  const cipher = createCipheriv('aes-128-ctr', Buffer.from(seed.padEnd(16, '.').slice(0, 16)), Buffer.alloc(16));
  return { take: (bytes) => cipher.update(Buffer.alloc(bytes)) };
}

/** Runs bin/coffre with --json, its memory watched; throws when it fails. */
async function measured(world: World, step: string, args: readonly string[]): Promise<Measured> {
  const startedMs = systemClock.monotonicMs();
  const child = world.start(args);
  const watch = new ProcessTreeWatch(child.pid as number);
  const [stdout, stderr, status] = await Promise.all([
    text(child.stdout as Readable),
    text(child.stderr as Readable),
    new Promise<number | null>((resolve) => child.once('close', resolve)),
  ]);
  const peak = watch.stop();
  if (status !== 0) throw new Error(`coffre ${args.join(' ')} ended with ${status}\n${stdout}\n${stderr}`);
  const result = { step, seconds: (systemClock.monotonicMs() - startedMs) / 1000, ...peak };
  const at = peak.atPeak.slice(0, 4).map((one) => `${one.name} ${mib(one.bytes)}`);
  say(`  ${step.padEnd(18)} ${mib(peak.peakBytes).padStart(8)}  ${result.seconds.toFixed(1).padStart(6)} s  (${at.join(', ')})`);
  return result;
}

async function filesCase(world: World, name: string, make: (root: string) => Promise<number>): Promise<Case> {
  const root = join(world.dir, 'shop');
  mkdirSync(root);
  const plainBytes = await make(root);
  say(name);
  world.writeConfig({ vaults, files: { root } });
  const to = join(world.dir, 'back');
  const steps = [
    await measured(world, 'backup', ['backup', 'dupont']),
    await measured(world, 'backup, unchanged', ['backup', 'dupont']),
    await measured(world, 'restore', ['restore', 'dupont', '--to-dir', to]),
    await measured(world, 'verify', ['verify', 'dupont', '--read-data']),
  ];
  rmSync(root, { recursive: true });
  rmSync(to, { recursive: true });
  return { name, plainBytes, steps };
}

async function oneLargeFile(root: string): Promise<number> {
  const bytes = Math.round(3e9 * scale);
  const source = noise('one large file');
  const pieces = function* (): Generator<Buffer> {
    for (let left = bytes; left > 0; left -= 1 << 20) yield source.take(Math.min(left, 1 << 20));
  };
  await pipeline(Readable.from(pieces()), createWriteStream(join(root, 'video.mp4')));
  return statSync(join(root, 'video.mp4')).size;
}

async function manySmallFiles(root: string): Promise<number> {
  const count = Math.round(200_000 * scale);
  const source = noise('many small files');
  let bytes = 0;
  for (let file = 0; file < count; file++) {
    // as PrestaShop spreads its images
    const folder = join(root, 'img/p', String(Math.floor(file / 1000)), String(Math.floor(file / 100) % 10));
    if (file % 100 === 0) mkdirSync(folder, { recursive: true });
    const content = source.take(500 + (file % 7) * 500);
    writeFileSync(join(folder, `product-${file}-home_default.jpg`), content);
    bytes += content.length;
  }
  return bytes;
}

async function tableCase(world: World, server: Mariadb): Promise<Case> {
  const rows = Math.round(2_000_000 * scale);
  await server.createDatabase('shop');
  await server.sql(
    `CREATE TABLE ps_connections_page (id BIGINT PRIMARY KEY AUTO_INCREMENT, url VARCHAR(500) NOT NULL, payload TEXT NOT NULL, at DATETIME NOT NULL);
     INSERT INTO ps_connections_page (url, payload, at)
       SELECT CONCAT('/produit/', MD5(seq), '-', SHA1(seq), '.html'), REPEAT(CONCAT(SHA2(seq, 256), MD5(seq * 7)), 4), '2026-01-01' + INTERVAL seq SECOND
       FROM seq_1_to_${rows};`,
    { database: 'shop' },
  );
  const plainBytes = Number(
    await server.sql('SELECT SUM(LENGTH(url) + LENGTH(payload) + 27) FROM ps_connections_page', { database: 'shop' }),
  );
  const name = `one table of ${(plainBytes / 1e9).toFixed(2)} GB, ${rows} rows`;
  say(name);
  world.writeConfig({ vaults, database: { socketPath: server.socketPath, user: 'root', name: 'shop' } });
  const url = `mysql://root@localhost/back?socketPath=${server.socketPath}`;
  const steps = [
    await measured(world, 'backup', ['backup', 'dupont']),
    await measured(world, 'backup, unchanged', ['backup', 'dupont']),
    await measured(world, 'restore', ['restore', 'dupont', '--to-database', url]),
    await measured(world, 'verify', ['verify', 'dupont', '--read-data']),
  ];
  return { name, plainBytes, steps };
}

/** A server's longest value, and the rows of it. The copy must have the same hashes, or it throws. */
interface Blobs {
  readonly maxAllowedPacket: string;
  readonly rows: number;
  readonly bytesEach: number;
}

async function blobCase(world: World, server: Mariadb, { maxAllowedPacket, rows, bytesEach }: Blobs): Promise<Case> {
  const plainBytes = rows * bytesEach;
  const name = `${rows} LONGBLOB of ${(bytesEach / 1e6).toFixed(0)} MB, max_allowed_packet ${maxAllowedPacket}`;
  say(name);
  await server.createDatabase('shop');
  await server.sql('CREATE TABLE ps_attachment (id INT PRIMARY KEY, name VARCHAR(40), content LONGBLOB NOT NULL)', { database: 'shop' });
  const source = noise(name);
  const file = join(server.dir, 'content');
  for (let id = 1; id <= rows; id++) {
    const pieces = function* (): Generator<Buffer> {
      for (let left = bytesEach; left > 0; left -= 1 << 20) yield source.take(Math.min(left, 1 << 20));
    };
    await pipeline(Readable.from(pieces()), createWriteStream(file));
    await server.sql(`INSERT INTO ps_attachment VALUES (${id}, 'n${id}', LOAD_FILE('${file}'))`, { database: 'shop' });
  }
  rmSync(file);
  world.writeConfig({ vaults, database: { socketPath: server.socketPath, user: 'root', name: 'shop' } });
  const hashes = (database: string): Promise<string> =>
    server.sql('SELECT id, name, LENGTH(content), SHA2(content, 256) FROM ps_attachment ORDER BY id', { database });
  const url = `mysql://root@localhost/back?socketPath=${server.socketPath}`;
  const steps = [
    await measured(world, 'backup', ['backup', 'dupont']),
    await measured(world, 'backup, unchanged', ['backup', 'dupont']),
    await measured(world, 'restore', ['restore', 'dupont', '--to-database', url]),
    await measured(world, 'verify', ['verify', 'dupont', '--read-data']),
  ];
  const before = await hashes('shop');
  if (!before.includes(`\t${bytesEach}\t`) || before !== (await hashes('back'))) throw new Error(`the copy is another one: ${name}`);
  return { name, plainBytes, steps };
}

const store = await startStore();
const cases: Case[] = [];
try {
  const inFreshWorld = async (work: (world: World) => Promise<Case>): Promise<void> => {
    const bucket = await makeBucket(store);
    await using world = await makeWorld({ bucket, vaults });
    cases.push(await work(world));
    await bucket.release();
  };
  if (only.includes('file')) await inFreshWorld((world) => filesCase(world, 'one file of 3 GB', oneLargeFile));
  if (only.includes('tree')) await inFreshWorld((world) => filesCase(world, '200,000 small files', manySmallFiles));
  if (only.includes('table')) {
    const server = await startMariadb({ args: ['--innodb-buffer-pool-size=1G', '--innodb-log-file-size=512M'] });
    try {
      await inFreshWorld((world) => tableCase(world, server));
    } finally {
      await server.stop();
    }
  }
  if (only.includes('blob')) {
    // one value far beyond coffre's memory, and rows just below what the default packet lets through
    for (const blobs of [
      { maxAllowedPacket: '1G', rows: 1, bytesEach: Math.round(512e6 * scale) },
      { maxAllowedPacket: '64M', rows: 6, bytesEach: Math.round(60e6 * scale) },
    ]) {
      const args = ['--innodb-log-file-size=2G', `--max-allowed-packet=${blobs.maxAllowedPacket}`];
      const server = await startMariadb({ args });
      try {
        await inFreshWorld((world) => blobCase(world, server, blobs));
      } finally {
        await server.stop();
      }
    }
  }
} finally {
  await store.stop();
}
const peakBytes = Math.max(0, ...cases.flatMap((one) => one.steps.map((step) => step.peakBytes)));
const ok = cases.length > 0 && peakBytes < LIMIT_BYTES;
say(`${ok ? 'ok' : 'TOO MUCH'}: at most ${mib(peakBytes)} of ${mib(LIMIT_BYTES)}`);
if (values.json) console.log(JSON.stringify({ limitBytes: LIMIT_BYTES, peakBytes, ok, scale, cases }, null, 2));
process.exitCode = ok ? 0 : 1;
