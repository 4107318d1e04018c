// Wraps the ports of a process so that every effect is seen: vaults as objects, the catalog's commits, files, requests to a store.
import fs from 'node:fs';
import fsp, { type FileHandle } from 'node:fs/promises';
import http from 'node:http';
import { syncBuiltinESMExports } from 'node:module';
import { relative, sep } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { parseKey } from '../../src/segment/layout.ts';
import type { Vault } from '../../src/vault/vault.ts';
import type { Effects } from './effects.ts';
import type { UnsyncedFiles } from './power-cut.ts';

const what = (key: string): string => parseKey(key)?.type ?? 'object';

/** Makes every change through this vault an effect. The same object: a probe asks what kind it is. */
export function instrumentedVault(vault: Vault, effects: Effects): Vault {
  const { name, put, putStream, extendLock, abortUpload, deleteVersion } = vault;
  const named = (verb: string, key: string): string => `${name}: ${verb} ${what(key)}`;
  return Object.assign(vault, {
    put: ((request) => effects.around(named('put', request.key), () => put.call(vault, request))) as Vault['put'],
    putStream: ((request) => {
      const { key, onUpload, onParts } = request;
      return effects.around(named('stream', key), () =>
        putStream.call(vault, {
          ...request,
          onUpload: (id) => effects.around(named('upload of', key), async () => await onUpload?.(id)),
          onParts: (bytes) => effects.around(named('part of', key), async () => await onParts?.(bytes)),
        }),
      );
    }) as Vault['putStream'],
    extendLock: ((key, versionId, until, signal) =>
      effects.around(named('lock', key), () => extendLock.call(vault, key, versionId, until, signal))) as Vault['extendLock'],
    abortUpload: ((key, uploadId) =>
      effects.around(named('abort upload of', key), () => abortUpload.call(vault, key, uploadId))) as Vault['abortUpload'],
    deleteVersion: ((key, versionId) =>
      effects.around(named('delete', key), () => deleteVersion.call(vault, key, versionId))) as Vault['deleteVersion'],
  });
}

/** Each commit of the catalog, and each write outside of a transaction, named by what it wrote. */
export function instrumentCatalog(effects: Effects): void {
  const prepare = DatabaseSync.prototype.prepare;
  const writes = new WeakMap<DatabaseSync, Set<string>>();
  DatabaseSync.prototype.prepare = function (this: DatabaseSync, sql: string): StatementSync {
    const statement = prepare.call(this, sql);
    const verb = /^\s*(insert into|update|delete from|commit|begin|rollback)\b(?:\s+"(\w+)")?/i.exec(sql);
    if (verb === null) return statement;
    const word = (verb[1] as string).toLowerCase().split(' ')[0] as string;
    const inside = writes.get(this);
    if (word === 'begin') writes.set(this, new Set());
    else if (word === 'rollback') writes.delete(this);
    else if (word === 'commit') {
      writes.delete(this);
      if (inside && inside.size > 0) watch(statement, `catalog: ${[...inside].sort().join(', ')}`);
    } else if (inside) inside.add(`${word} ${verb[2]}`);
    else watch(statement, `catalog: ${word} ${verb[2]}`);
    return statement;
  };
  function watch(statement: StatementSync, name: string): void {
    const { run, all } = statement;
    statement.run = ((...args: Parameters<typeof run>) => effects.aroundSync(name, () => run.apply(statement, args))) as typeof run;
    statement.all = ((...args: Parameters<typeof all>) => effects.aroundSync(name, () => all.apply(statement, args))) as typeof all;
  }
}

/** Every change below `root` that is made with node:fs. Must be called before anything opens a file. */
export async function instrumentFiles(effects: Effects, root: string, unsynced: UnsyncedFiles): Promise<void> {
  const place = (path: unknown): string | null => {
    const text = path instanceof URL ? path.pathname : String(path);
    const inside = relative(root, text);
    return inside.startsWith('..') || inside.startsWith(sep) ? null : placeName(inside);
  };
  // biome-ignore lint/suspicious/noExplicitAny: functions of many shapes, all handed through
  type Any = any;
  const promises = fsp as Record<string, Any>;
  const wrap = (functions: Record<string, Any>, name: string, isSync: boolean): void => {
    const inner = functions[name];
    functions[name] = (...args: Any[]) => {
      // what a rename or a link makes is named by where it ends
      const at = place(
        name.startsWith('rename') || name === 'link' || name === 'symlink' || name.startsWith('copyFile') ? args[1] : args[0],
      );
      if (at === null) return inner(...args);
      const label = `file: ${name} ${at}`;
      if (isSync) return effects.aroundSync(label, () => inner(...args));
      return effects.around(label, async () => {
        const [first, second] = args.map(String) as [string, string];
        const goes = name === 'rename' ? second : name === 'unlink' || name === 'rm' ? first : null;
        const saved = goes === null ? null : unsynced.save(goes);
        const wasThere = name === 'mkdir' && fs.existsSync(first);
        const result = await inner(...args);
        if (name === 'rename') unsynced.renamed(first, second, saved);
        else if (name === 'unlink' || name === 'rm') unsynced.removed(first, saved);
        else if (name === 'link') unsynced.made(second);
        else if (name === 'mkdir' && !wasThere) unsynced.made(first);
        else if (name === 'writeFile' || name === 'appendFile') unsynced.wrote(first);
        return result;
      });
    };
  };
  for (const name of ['rename', 'unlink', 'rm', 'rmdir', 'mkdir', 'link', 'symlink', 'writeFile', 'appendFile', 'copyFile', 'truncate'])
    wrap(promises, name, false);
  for (const name of ['renameSync', 'unlinkSync', 'rmSync', 'mkdirSync', 'writeFileSync', 'appendFileSync'])
    wrap(fs as Record<string, Any>, name, true);

  const paths = new WeakMap<FileHandle, string>();
  const fullPaths = new WeakMap<FileHandle, string>();
  const open = promises.open;
  promises.open = async (path: Any, flags: Any, mode: Any): Promise<FileHandle> => {
    const at = place(path);
    const makes = typeof flags === 'string' ? /[wa]/.test(flags) : typeof flags === 'number' && (flags & fs.constants.O_CREAT) !== 0;
    const wasThere = fs.existsSync(path);
    const work = (): Promise<FileHandle> => open(path, flags, mode);
    const handle = at !== null && makes ? await effects.around(`file: create ${at}`, work) : await work();
    if (at !== null) {
      paths.set(handle, at);
      fullPaths.set(handle, String(path));
      if (makes && !wasThere) unsynced.made(String(path));
    }
    return handle;
  };
  const sample = (await open(import.meta.filename, 'r')) as FileHandle;
  const prototype = Object.getPrototypeOf(sample) as Record<string, Any>;
  await sample.close();
  for (const name of ['write', 'writev', 'writeFile', 'appendFile', 'truncate']) {
    const inner = prototype[name];
    prototype[name] = function (this: FileHandle, ...args: Any[]) {
      const at = paths.get(this);
      if (at === undefined) return inner.apply(this, args);
      unsynced.wrote(fullPaths.get(this) as string);
      return effects.around(`file: ${name} ${at}`, () => inner.apply(this, args));
    };
  }
  for (const name of ['sync', 'datasync']) {
    const inner = prototype[name];
    prototype[name] = async function (this: FileHandle) {
      await inner.apply(this);
      const path = fullPaths.get(this);
      if (path !== undefined) unsynced.synced(path);
    };
  }
  syncBuiltinESMExports();
}

/** Every request that changes a store: before it leaves, and when its answer has begun to come. */
export function instrumentRequests(effects: Effects): void {
  const request = http.request;
  http.request = ((...args: Parameters<typeof request>) => {
    const options = args.find((arg) => typeof arg === 'object' && arg !== null && 'method' in arg) as http.RequestOptions | undefined;
    const method = options?.method ?? 'GET';
    if (method === 'GET' || method === 'HEAD') return request(...args);
    const query = /[?&](partNumber|uploads|uploadId|retention|delete|versionId)\b/.exec(String(options?.path))?.[1] ?? 'object';
    const number = effects.begin(`store: ${method} ${query}`);
    const sent = request(...args);
    sent.once('response', () => effects.end(number));
    return sent;
  }) as typeof request;
  syncBuiltinESMExports();
}

/** The same for every run: ids, times and random parts of names are left out. */
function placeName(inside: string): string {
  return inside
    .split(sep)
    .map((name) =>
      name
        .replace(/^\.tmp-[0-9a-f]{16}-/, '.tmp-')
        .replace(/[0-9a-z]{26}/g, 'ID')
        .replace(/\d{8}T\d{6}Z?/g, 'TIME')
        .replace(/(\.\d+-)?[0-9a-f]{12,}/g, 'HEX'),
    )
    .join('/');
}
