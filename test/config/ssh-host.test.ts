import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SshHostConfig } from '../../src/config/config.ts';
import { loadConfig } from '../../src/config/load.ts';

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'coffre-config-'));
});
afterAll(() => rmSync(dir, { recursive: true }));

function hostOf(lines: readonly string[], env: Record<string, string> = {}): SshHostConfig {
  const file = join(dir, 'coffre.yaml');
  const host = ['type: ssh', 'host: shop.example', 'user: coffre', 'knownHostsFile: known', ...lines].map((line) => `      ${line}`);
  writeFileSync(
    file,
    [
      'timezone: UTC',
      'stateDir: state',
      'encryption: none',
      'vaults: { nas: { type: filesystem, path: nas } }',
      'plans: { p: { retention: 14d, rto: { target: 4h, calendar: 24x7 } } }',
      'shops:',
      '  martin:',
      '    plan: p',
      '    vaults: [nas]',
      '    files: { root: /srv }',
      '    host:',
      ...host,
    ].join('\n'),
  );
  return loadConfig(file, env).shops.get('martin')?.host as SshHostConfig;
}

describe('a host of type ssh', () => {
  it('one key - defaults, paths beside the file', () => {
    expect(hostOf(['keyFile: key'])).toMatchObject({
      port: 22,
      keys: [{ from: join(dir, 'key') }],
      passphrase: null,
      agent: null,
      knownHostsFile: join(dir, 'known'),
      connectTimeoutMs: 20_000,
    });
  });

  it('several keys, a passphrase, a timeout - in their order', () => {
    const host = hostOf(['keyFile: [a, /b]', 'passphraseFile: pass', 'connectTimeout: 5s']);
    expect(host.keys.map(({ from }) => from)).toEqual([join(dir, 'a'), '/b']);
    expect(host).toMatchObject({ passphrase: { from: join(dir, 'pass') }, connectTimeoutMs: 5000 });
  });

  it('an agent - by its path, or by the environment, set or not', () => {
    expect(hostOf(['agent: /run/agent'])).toMatchObject({ keys: [], agent: { socketPath: '/run/agent' } });
    expect(hostOf(['agent: true'], { SSH_AUTH_SOCK: '/tmp/sock' }).agent).toEqual({ socketPath: '/tmp/sock' });
    expect(hostOf(['agent: true']).agent).toEqual({ socketPath: null });
  });

  it('a key of systemd - instead of a file', () => {
    expect(hostOf(['key: { credential: martin-ssh }']).keys).toMatchObject([{ from: 'systemd credential martin-ssh' }]);
  });

  it.each([
    ['no way to log in', [], /keyFile is missing: a private key/],
    ['a key twice', ['keyFile: a', 'key: { credential: b }'], /given twice/],
    ['an empty list of keys', ['keyFile: []'], /keyFile/],
    ['a passphrase in the file itself', ['keyFile: a', 'passphrase: hunter2'], /passphrase/],
  ] as const)('%s - refused', (_, lines, message) => {
    let said = '';
    try {
      hostOf(lines);
    } catch (error) {
      said = String(error);
    }
    expect(said).toMatch(message);
    expect(said).not.toContain('hunter2');
  });
});
