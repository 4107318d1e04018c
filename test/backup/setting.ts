// A run against real vaults with a source of given pieces: what matters is what the run makes of them.
import { createHash } from 'node:crypto';
import { MemoryBudget } from '../../src/backup/memory.ts';
import type { BackupDeps } from '../../src/backup/run.ts';
import { openCatalog } from '../../src/catalog/open.ts';
import { systemClock } from '../../src/clock.ts';
import type { Config, ShopConfig } from '../../src/config/config.ts';
import { loadConfig } from '../../src/config/load.ts';
import { CoffreError } from '../../src/errors.ts';
import type { Part, Reading, Source } from '../../src/source/source.ts';
import { FilesystemVault } from '../../src/vault/filesystem.ts';
import { S3Vault } from '../../src/vault/s3.ts';
import type { World } from '../world/world.ts';

export interface Piece {
  readonly name: string;
  readonly bytes: number;
  readonly estimatedBytes: number;
  readonly fail?: boolean;
  readonly phase?: 'pre' | 'data' | 'keys' | 'post';
}

const CHUNK = 1 << 20;

/** Incompressible and different for each name, the same each time. */
export function* noise(name: string, bytes: number): Generator<Buffer> {
  const block = Buffer.concat(Array.from({ length: CHUNK / 32 }, (_, i) => createHash('sha256').update(`${name} ${i}`).digest()));
  for (let sent = 0; sent < bytes; sent += CHUNK) {
    block.writeUInt32LE(sent / CHUNK);
    yield Buffer.from(block.subarray(0, Math.min(CHUNK, bytes - sent)));
  }
}

function sourceOf(pieces: readonly Piece[]): Source {
  const part = (piece: Piece): Part => ({
    type: 'part',
    kind: 'sql',
    phase: piece.phase ?? 'data',
    name: piece.name,
    estimatedBytes: piece.estimatedBytes,
    async *read() {
      yield* noise(piece.name, piece.bytes);
      if (piece.fail) throw new CoffreError('E_DB_READ', `${piece.name}: the connection broke`);
    },
    outcome: () => ({ entries: [{ type: 'sql', name: piece.name, rows: {} }], warnings: [] }),
  });
  const reading: Reading = {
    asOf: systemClock.now(),
    expectedBytes: null,
    parallel: 1,
    async *items() {
      for (const piece of pieces) yield part(piece);
    },
    summary: () => ({ complete: true, warnings: [], counts: { tables: pieces.length } }),
    close: async () => {},
  };
  return { kind: 'database', open: async () => reading, check: async () => [] };
}

export interface Setting {
  readonly config: Config;
  readonly shop: ShopConfig;
  readonly deps: BackupDeps;
  close(): Promise<void>;
}

export async function setting(world: World, pieces: readonly Piece[]): Promise<Setting> {
  const config = loadConfig(world.configFile, {});
  const catalog = await openCatalog(config.stateDir);
  const quiet = (): void => {};
  return {
    config,
    shop: config.shops.get('dupont') as ShopConfig,
    close: () => catalog.close(),
    deps: {
      config,
      catalog,
      clock: systemClock,
      openVault: async (vault) => (vault.type === 's3' ? new S3Vault(vault, systemClock) : new FilesystemVault(vault, systemClock)),
      openSource: async () => sourceOf(pieces),
      log: { debug: quiet, info: quiet, warn: quiet, error: quiet },
      onProgress: quiet,
      tools: { coffre: 'test' },
      memory: MemoryBudget.forProcess(config.limits.memoryBytes, 1),
    },
  };
}

export const MB = 1_000_000;
export const never = new AbortController().signal;
/** Of a shop whose database is never connected to. */
export const database = { socketPath: '/nowhere', user: 'nobody', name: 'nothing' };
