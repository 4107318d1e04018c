import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fingerprint, KnownHost, matchesHosts, parseKnownHosts, readKnownHost } from '../../src/host/ssh-known-hosts.ts';

let dir: string;
const keys: Record<string, { line: string; blob: Buffer }> = {};

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'coffre-known-hosts-'));
  for (const [name, type] of [
    ['ed', 'ed25519'],
    ['ed2', 'ed25519'],
    ['ec', 'ecdsa'],
  ] as const) {
    execFileSync('ssh-keygen', ['-q', '-t', type, '-N', '', '-f', join(dir, name)]);
    const [keyType = '', encoded = ''] = readFileSync(join(dir, `${name}.pub`), 'utf8').split(' ');
    keys[name] = { line: `${keyType} ${encoded}`, blob: Buffer.from(encoded, 'base64') };
  }
});
afterAll(() => rmSync(dir, { recursive: true }));

const judge = (lines: readonly string[], key: string, address = { host: 'shop.example', port: 22 }) => {
  const text = lines.map((line) => line.replace(/\b(ed2?|ec)$/, (name) => keys[name]?.line ?? name)).join('\n');
  return new KnownHost(parseKnownHosts(text), address).judge(keys[key]?.blob ?? Buffer.alloc(0));
};

describe('known_hosts', () => {
  it.each([
    ['the same key - known', ['shop.example ed'], 'ed', 'known'],
    ['another key of the type - changed', ['shop.example ed'], 'ed2', 'changed'],
    ['one of several keys - known', ['shop.example ec', 'shop.example ed'], 'ed', 'known'],
    ['another host - unknown', ['other.example ed'], 'ed', 'unknown'],
    ['nothing - unknown', ['# a comment', '', 'shop.example'], 'ed', 'unknown'],
    ['capitals - known', ['Shop.EXAMPLE ed'], 'ed', 'known'],
    ['a wildcard - known', ['*.example ed'], 'ed', 'known'],
    ['a question mark - known', ['sho?.example ed'], 'ed', 'known'],
    ['a dot is a dot - unknown', ['shopxexample ed'], 'ed', 'unknown'],
    ['a negation after a wildcard - unknown', ['*.example,!shop.example ed'], 'ed', 'unknown'],
    ['a negation before a wildcard - unknown', ['!shop.example,*.example ed'], 'ed', 'unknown'],
    ['a negation of another - known', ['!other.example,*.example ed'], 'ed', 'known'],
    ['a revoked key - revoked, whatever else stands there', ['shop.example ed', '@revoked * ed'], 'ed', 'revoked'],
    ['another key revoked - known', ['shop.example ed', '@revoked * ed2'], 'ed', 'known'],
    ['a certificate authority alone - no key of it will do', ['@cert-authority *.example ed'], 'ed', 'certificates-only'],
    ['a certificate authority and the key - known', ['@cert-authority *.example ed2', 'shop.example ed'], 'ed', 'known'],
    ['an unknown mark - unknown', ['@trusted shop.example ed'], 'ed', 'unknown'],
    ['a type that is not the key’s - unknown', ['shop.example ecdsa-sha2-nistp256 AAAAC3NzaC1lZDI1NTE5AAAAIA=='], 'ed', 'unknown'],
  ] as const)('%s', (_, lines, key, verdict) => {
    expect(judge(lines, key)).toBe(verdict);
  });

  it('another port - its own lines count, those without a port where it has none', () => {
    const at = { host: 'shop.example', port: 2222 };
    expect(judge(['[shop.example]:2222 ed'], 'ed', at)).toBe('known');
    expect(judge(['[shop.example]:2222 ed2', 'shop.example ed'], 'ed', at)).toBe('changed');
    expect(judge(['shop.example ed'], 'ed', at)).toBe('known');
    expect(judge(['[shop.example]:2222 ed'], 'ed')).toBe('unknown');
    expect(judge(['[shop.example]:2222 ed', '@revoked shop.example ed'], 'ed', at)).toBe('revoked');
  });

  it('hashed by ssh-keygen -H - found under its name alone', () => {
    const file = join(dir, 'hashed');
    writeFileSync(file, `[shop.example]:2222 ${keys.ed?.line}\n`);
    execFileSync('ssh-keygen', ['-q', '-H', '-f', file]);
    expect(readFileSync(file, 'utf8')).toMatch(/^\|1\|/);
    const blob = keys.ed?.blob ?? Buffer.alloc(0);
    expect(readKnownHost(file, { host: 'shop.example', port: 2222 }).judge(blob)).toBe('known');
    expect(readKnownHost(file, { host: 'other.example', port: 2222 }).judge(blob)).toBe('unknown');
    expect(matchesHosts('|2|AAAA|AAAA', 'shop.example')).toBe(false);
  });

  it('a fingerprint - as ssh-keygen prints it', () => {
    const printed = execFileSync('ssh-keygen', ['-lf', join(dir, 'ed.pub')], { encoding: 'utf8' });
    expect(printed).toContain(` ${fingerprint(keys.ed?.blob ?? Buffer.alloc(0))} `);
  });

  it('a file that is missing, or that everybody may write - E_SSH_HOSTKEY', () => {
    const at = { host: 'shop.example', port: 22 };
    expect(() => readKnownHost(join(dir, 'none'), at)).toThrow(
      expect.objectContaining({ code: 'E_SSH_HOSTKEY', hint: expect.stringContaining('ssh-keyscan') }),
    );
    const open = join(dir, 'open');
    writeFileSync(open, '');
    chmodSync(open, 0o666);
    expect(() => readKnownHost(open, at)).toThrow(expect.objectContaining({ code: 'E_SSH_HOSTKEY' }));
  });
});
