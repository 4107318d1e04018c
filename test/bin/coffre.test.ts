import { execFile } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

const top = path.resolve(import.meta.dirname, '../..');
const nodePackage = `node-linux-${process.arch}`;
let dir: string;

beforeAll(() => {
  dir = mkdtempSync(path.join(tmpdir(), 'coffre-bin-'));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** A checkout that holds the launcher and a program that says how it was started. */
function checkout(at: string): string {
  const made = path.join(dir, at);
  mkdirSync(path.join(made, 'bin'), { recursive: true });
  mkdirSync(path.join(made, 'src'));
  copyFileSync(path.join(top, 'bin/coffre'), path.join(made, 'bin/coffre'));
  writeFileSync(path.join(made, 'package.json'), '{"type":"module"}');
  writeFileSync(
    path.join(made, 'src/main.ts'),
    `const said: object = { argv: process.argv.slice(2), version: process.version, cwd: process.cwd() };\nconsole.log(JSON.stringify(said));\nprocess.exitCode = 3;\n`,
  );
  return made;
}

function withNode(modules: string): void {
  mkdirSync(modules, { recursive: true });
  symlinkSync(path.join(top, 'node_modules', nodePackage), path.join(modules, nodePackage));
}

interface Ended {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** With a PATH on which there is no Node at all. */
function start(command: string, args: readonly string[], cwd: string): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(command, args, { cwd, env: { PATH: bareBin() } }, (error, stdout, stderr) =>
      resolve({ status: typeof error?.code === 'number' ? error.code : error ? -1 : 0, stdout, stderr }),
    );
  });
}

function bareBin(): string {
  const bin = path.join(dir, 'bare-bin');
  if (!existsSync(bin)) {
    mkdirSync(bin);
    for (const tool of ['sh', 'uname', 'readlink']) {
      const found = ['/bin', '/usr/bin'].map((place) => path.join(place, tool)).find(existsSync);
      if (found) symlinkSync(found, path.join(bin, tool));
    }
  }
  return bin;
}

test('through two symlinks, from another folder: its own Node runs it, arguments and exit status as they are', async () => {
  const made = checkout('linked/a checkout');
  withNode(path.join(made, 'node_modules'));
  const away = mkdtempSync(path.join(dir, 'away-'));
  symlinkSync(path.join(made, 'bin/coffre'), path.join(dir, 'first'));
  symlinkSync('../first', path.join(away, 'second'));
  const ended = await start('./second', ['backup', 'a shop', '--x=*'], away);
  expect(ended).toMatchObject({ status: 3, stderr: '' });
  expect(JSON.parse(ended.stdout)).toEqual({ argv: ['backup', 'a shop', '--x=*'], version: process.version, cwd: away });
});

test('Node hoisted into a node_modules further up is found', async () => {
  const made = checkout('workspace/packages/coffre');
  withNode(path.join(dir, 'workspace/node_modules'));
  expect(await start(path.join(made, 'bin/coffre'), [], '/')).toMatchObject({ status: 3, stderr: '' });
});

test('without its Node: exit status 2 and the command that brings it', async () => {
  const made = checkout('bare/coffre');
  const ended = await start(path.join(made, 'bin/coffre'), ['--version'], '/');
  expect(ended).toMatchObject({ status: 2, stdout: '' });
  expect(ended.stderr).toContain(`cd '${made}' && npm ci`);
});

test('the real one answers --version, with nothing on standard error', async () => {
  const { version } = (await import('../../package.json', { with: { type: 'json' } })).default;
  expect(await start(path.join(top, 'bin/coffre'), ['--version'], '/')).toEqual({ status: 0, stdout: `${version}\n`, stderr: '' });
});
