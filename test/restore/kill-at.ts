// Loaded into a restore unit before anything else (NODE_OPTIONS=--import): counts what the process does to files, databases and programs, and
// kills it at the effect that was chosen. COFFRE_TEST_KILL: its number, or how its name begins, 0 for none; COFFRE_TEST_KILL_BY: the signal; COFFRE_TEST_KILL_FILE: gets the names of all, a line each.
import childProcess from 'node:child_process';
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { isMainThread } from 'node:worker_threads';

const { COFFRE_TEST_KILL = '0', COFFRE_TEST_KILL_BY, COFFRE_TEST_KILL_FILE } = process.env;

if (isMainThread && COFFRE_TEST_KILL_FILE !== undefined && process.argv.includes('--as-owner')) {
  const doomed = Number(COFFRE_TEST_KILL);
  const file = fs.openSync(COFFRE_TEST_KILL_FILE, 'w');
  const write = fs.writeSync;
  let effects = 0;
  let done = false;
  const effect = (name: string): void => {
    effects += 1;
    write(file, `${name}\n`);
    if (effects !== doomed && (done || !Number.isNaN(doomed) || !name.startsWith(COFFRE_TEST_KILL))) return;
    done = true;
    process.kill(process.pid, COFFRE_TEST_KILL_BY ?? 'SIGKILL');
  };
  // biome-ignore lint/suspicious/noExplicitAny: functions of many shapes, all handed through
  type Any = any;
  const plain = (path: unknown): string =>
    String(path)
      .replace(/^.*\/(?=[^/]+$)/, '')
      .replace(/[0-9a-f]{12,}/g, 'HEX');
  const files = fs as unknown as Record<string, Any>;
  for (const name of ['renameSync', 'unlinkSync', 'rmSync', 'rmdirSync', 'mkdirSync', 'writeFileSync', 'linkSync', 'fsyncSync']) {
    const inner = files[name];
    files[name] = (...args: Any[]) => {
      effect(`${name} ${typeof args[0] === 'number' ? '' : plain(args[name === 'renameSync' || name === 'linkSync' ? 1 : 0])}`);
      return inner(...args);
    };
  }
  const spawn = childProcess.spawn as Any;
  (childProcess as unknown as Record<string, Any>).spawn = (...args: Any[]) => {
    const [program, argv] = args as [string, readonly string[]];
    effect(`before ${program}`);
    const started = spawn(...args);
    // it runs on without us, or dies of its broken pipes
    effect(`after ${program} ${String(argv?.[1] ?? '').length}`);
    return started;
  };
  syncBuiltinESMExports();
  const { Session } = await import('../../src/target/mariadb/session.ts');
  const prototype = Session.prototype as unknown as Record<string, Any>;
  const run = prototype.run;
  prototype.run = async function (this: unknown, sql: unknown) {
    const text = String(sql).trimStart();
    const changes = !/^(SET|SELECT|SHOW|USE|DO|LOCK|UNLOCK)\b/i.test(text);
    if (changes) effect(`sql ${text.slice(0, 24).replace(/\s+/g, ' ')}`);
    const done = await run.call(this, sql);
    if (changes) effect(`done ${text.slice(0, 24).replace(/\s+/g, ' ')}`);
    return done;
  };
}
