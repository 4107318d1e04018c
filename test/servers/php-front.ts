// A real web server with real PHP before a tree: `php -S` on a random loopback port. Needs the Debian packages php-cli and php-mysql.
import { request } from 'node:http';
import { connect } from 'node:net';
import { freePort, makeRig, until } from './rig.ts';

export interface Page {
  readonly status: number;
  readonly body: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

export interface PhpFront {
  readonly port: number;
  readonly url: string;
  /** What PHP and its server complained about. */
  log(): string;
  /** Asks for a page; `host` is the name that the client typed. */
  get(path?: string, options?: { readonly host?: string; readonly headers?: Readonly<Record<string, string>> }): Promise<Page>;
  stop(): Promise<void>;
}

export interface PhpFrontOptions {
  /** Requests that are answered at once. Default: 2. */
  readonly workers?: number;
  /** How PHP keeps compiled files, as php.ini says it. Default: not at all, which shows each change at once. */
  readonly opcache?: readonly string[];
}

/** Serves the tree at `root`, which may be swapped for another one meanwhile: every request looks anew. */
export async function startPhpFront(root: string, { workers = 2, opcache }: PhpFrontOptions = {}): Promise<PhpFront> {
  const rig = makeRig('php');
  try {
    const port = await freePort();
    // errors on the page are what a test looks for; nothing of this machine's php.ini counts
    const settings = ['display_errors=1', 'error_reporting=-1', 'extension=mysqlnd', 'extension=mysqli'];
    // without the protection what a test has just written is not kept for two seconds
    if (opcache) settings.push('zend_extension=opcache', 'opcache.enable_cli=1', 'opcache.file_update_protection=0', ...opcache);
    const args = ['-n', ...settings.flatMap((setting) => ['-d', setting]), '-S', `127.0.0.1:${port}`, '-t', root];
    await rig.start('php', '/usr/bin/php', args, { PHP_CLI_SERVER_WORKERS: String(workers) });
    await until('php answers', 20_000, () => {
      if (!rig.pids().has('php')) throw new Error(`php ended while starting: ${rig.logTail('php')}`);
      return answers(port);
    });
    return {
      port,
      url: `http://127.0.0.1:${port}/`,
      log: () => rig.logTail('php'),
      get: (path = '/', { host = '127.0.0.1', headers = {} } = {}) => get(port, path, { ...headers, host }),
      stop: () => rig.stop(),
    };
  } catch (error) {
    await rig.stop();
    throw error;
  }
}

function get(port: number, path: string, headers: Readonly<Record<string, string>>): Promise<Page> {
  return new Promise((resolve, reject) => {
    const asked = request({ host: '127.0.0.1', port, path, headers, agent: false, timeout: 30_000 }, async (answer) => {
      try {
        const chunks: Buffer[] = [];
        for await (const chunk of answer) chunks.push(chunk as Buffer);
        resolve({ status: answer.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8'), headers: answer.headers });
      } catch (error) {
        reject(error);
      }
    });
    asked.on('error', reject);
    asked.end();
  });
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
