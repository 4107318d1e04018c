// A daemon for tests of its API: the real catalog, feed and configuration behind the real server; runs are queued and never begin.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { type Catalog, openCatalog } from '../../src/catalog/open.ts';
import { endPause, pauseShop } from '../../src/catalog/pauses.ts';
import { closeQueued, queueRun, readRun } from '../../src/catalog/run-queue.ts';
import { createToken, type TokenRole } from '../../src/catalog/tokens.ts';
import { type Clock, systemClock } from '../../src/clock.ts';
import type { FilesystemVaultConfig, VaultConfig } from '../../src/config/config.ts';
import { parseConfig } from '../../src/config/load.ts';
import { CoffreError } from '../../src/errors.ts';
import type { Timeouts } from '../../src/http/api.ts';
import { type StartedHttp, startHttp } from '../../src/http/server.ts';
import { BillingBoard } from '../../src/schedule/billing-board.ts';
import { RunHub } from '../../src/schedule/feed.ts';
import type { Service } from '../../src/schedule/service.ts';
import { StatusBoard } from '../../src/schedule/status-board.ts';
import { Survey } from '../../src/schedule/survey.ts';
import { sourceOf } from '../../src/schedule/task.ts';
import { newId } from '../../src/segment/id.ts';
import { filesystemVault } from '../billing/benches.ts';

export interface Logged {
  readonly level: string;
  readonly event: string;
  readonly [field: string]: unknown;
}

export interface TestDaemon {
  readonly service: Service;
  readonly catalog: Catalog;
  readonly hub: RunHub;
  readonly http: StartedHttp;
  readonly socket: string;
  /** `http://127.0.0.1:port`, or https. */
  readonly url: string;
  readonly log: Logged[];
  readonly dir: string;
  token(role: TokenRole, shops?: readonly string[]): Promise<string>;
  /** JSON in, JSON out, over TCP. */
  ask(token: string | null, method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into documents of all shapes
  readonly json: any;
}

export const SHOPS = ['dupont', 'martin', 'zoe'] as const;

export interface DaemonOptions {
  /** true when left out. */
  readonly unattended?: boolean;
  readonly clock?: Clock;
  readonly timeouts?: Timeouts;
  /** Lines under `listen:` beside socket and http. */
  readonly listen?: readonly string[];
}

/** `atEnd` is given what stops it: the end of the test, unless a whole file uses it. */
export async function startDaemon(
  options: DaemonOptions = {},
  atEnd: (stop: () => Promise<void>) => void = onTestFinished,
): Promise<TestDaemon> {
  const { clock = systemClock } = options;
  const dir = mkdtempSync(join(tmpdir(), 'coffre-http-'));
  const socket = join(dir, 'coffre.sock');
  const config = parseConfig(
    [
      `stateDir: ${dir}/state`,
      `listen:\n  socket: ${socket}\n  http: 127.0.0.1:0`,
      ...(options.listen ?? []).map((line) => `  ${line}`),
      'encryption: none',
      `restore: { socket: ${dir}/restore.sock, unattended: ${options.unattended ?? true}, scratchDir: ${dir}/scratch }`,
      `vaults: { nas: { type: filesystem, path: ${dir}/nas } }`,
      'plans: { plan: { retention: 14d } }',
      'contracts: { csi-001: { vault: nas, subscribedTB: 1, price: { perTBMonth: "23.00" } } }',
      'shops:',
      ...SHOPS.map((name) => `  ${name}: { plan: plan, vaults: [nas], files: { root: ${dir}/${name} } }`),
    ].join('\n'),
    join(dir, 'coffre.yaml'),
    {},
  );
  const catalog = await openCatalog(config.stateDir);
  const hub = new RunHub(clock);
  const log: Logged[] = [];
  const service = serviceOver({ config, catalog, clock, hub, log });
  const http = await startHttp(service, options.timeouts ? { timeouts: options.timeouts } : {});
  atEnd(async () => {
    hub.close();
    await http.close();
    await catalog.close();
    rmSync(dir, { recursive: true, force: true });
  });
  const url = http.addresses[1] ?? '';
  let tokens = 0;
  return {
    ...{ service, catalog, hub, http, socket, url, log, dir },
    async token(role, shops) {
      tokens += 1;
      const made = {
        name: `${role} ${tokens}`,
        role,
        shops: role === 'client' ? (shops ?? ['dupont']) : null,
        expiresAt: null,
        who: 'test',
      };
      return (await createToken(catalog, clock, made)).secret;
    },
    ask: (token, method, path, body, headers = {}) => ask(url, token, method, path, body, headers),
  };
}

export async function ask(
  url: string,
  token: string | null,
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const response = await fetch(`${url}${path}`, {
    method,
    headers: {
      ...(token === null ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  let json: unknown = null;
  try {
    json = JSON.parse(text);
  } catch {
    // left null: a test that needs it fails on it
  }
  return { status: response.status, headers: response.headers, text, json };
}

interface Parts extends Pick<Service, 'config' | 'catalog' | 'clock'> {
  readonly hub: RunHub;
  readonly log: Logged[];
}

/** What the scheduler makes of orders is its own tests' matter: here they are written down where the API reads them. */
function serviceOver({ config, catalog, clock, hub, log }: Parts): Service {
  const write =
    (level: string) =>
    (fields: object, message: string): void =>
      void log.push({ level, message, ...fields } as unknown as Logged);
  const shop = (name: string): void => {
    if (!config.shops.has(name) && name !== '_coffre') throw new CoffreError('E_UNKNOWN_SHOP', `no shop ${name}`);
  };
  const openVault = (vault: VaultConfig) => filesystemVault(vault.name, (vault as FilesystemVaultConfig).path, clock);
  const board = new StatusBoard({ config: () => config, catalog, clock });
  return {
    ...{ config, catalog, clock, version: '0.0.0-test', feed: hub },
    log: { level: 'info', debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') },
    billing: new BillingBoard({ config: () => config, catalog, clock, ports: { openVault } }),
    ...{ board, survey: new Survey({ config: () => config, catalog, clock, feed: hub, board }) },
    state: { startedAt: clock.nowMs(), running: [], queued: 0, due: 0, loading: false, stopping: false, configProblem: null },
    async submit(task, who) {
      shop(task.shop);
      const id = newId(clock);
      await queueRun(catalog, clock, { id, kind: task.kind, shop: task.shop, source: sourceOf(task), who, task });
      return id;
    },
    async cancel(runId) {
      await readRun(catalog, runId);
      return await closeQueued(catalog, clock, runId, new CoffreError('E_CANCELLED', 'cancelled'));
    },
    async pause(name, order) {
      shop(name);
      return await pauseShop(catalog, clock, name, order);
    },
    async resume(name, by) {
      shop(name);
      return await endPause(catalog, clock, name, by);
    },
    async reload() {},
  };
}
