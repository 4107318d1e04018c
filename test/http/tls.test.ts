// The API over TLS: its certificate, what does not fit, and one that is renewed.
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PeerCertificate, TLSSocket } from 'node:tls';
import { expect, onTestFinished, test } from 'vitest';
import { secretFromFile } from '../../src/config/secret.ts';
import { readTls } from '../../src/http/tls.ts';
import { FakeClock } from '../fake-clock.ts';
import { startDaemon } from './daemon.ts';

function makePair(dir: string, name: string): { readonly cert: string; readonly key: string } {
  const [cert, key] = [join(dir, `${name}.pem`), join(dir, `${name}.key`)];
  const args = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', `/CN=${name}`];
  execFileSync('openssl', [...args, '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', cert], { stdio: 'ignore' });
  chmodSync(key, 0o600);
  return { cert, key };
}

function folder(): string {
  const dir = mkdtempSync(join(tmpdir(), 'coffre-tls-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** Status, and whose certificate it was. Trusts that one alone. */
function get(url: string, ca: string, options: object = {}): Promise<{ status: number; name: unknown }> {
  return new Promise((resolve, reject) => {
    const outgoing = request(`${url}/healthz`, { ca: readFileSync(ca), agent: false, ...options }, (response) => {
      const { subject } = (response.socket as TLSSocket).getPeerCertificate() as PeerCertificate;
      response.resume().once('end', () => resolve({ status: response.statusCode ?? 0, name: subject.CN }));
    });
    outgoing.once('error', reject);
    outgoing.end();
  });
}

test('spoken with its certificate, never below TLS 1.2, and with the new one once it was renewed', async () => {
  const dir = folder();
  const { cert, key } = makePair(dir, 'first');
  const clock = new FakeClock('2026-03-02T02:30:00Z');
  const { url, log } = await startDaemon({ clock, listen: [`tls: { certFile: ${cert}, keyFile: ${key} }`] });
  expect(url).toMatch(/^https:/);
  expect(await get(url, cert)).toEqual({ status: 200, name: 'first' });
  await expect(get(url, cert, { maxVersion: 'TLSv1.1', minVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0' })).rejects.toThrow();
  // without TLS nothing is answered
  await expect(fetch(`${url.replace('https', 'http')}/healthz`)).rejects.toThrow();

  const second = makePair(dir, 'second');
  writeFileSync(key, readFileSync(second.key));
  writeFileSync(cert, readFileSync(second.cert));
  expect((await get(url, cert, { rejectUnauthorized: false })).name).toBe('first');
  clock.advance(61_000);
  await get(url, cert, { rejectUnauthorized: false });
  expect(await get(url, cert)).toEqual({ status: 200, name: 'second' });

  // a renewal that went wrong is said, and the old one stays
  writeFileSync(cert, 'nothing');
  clock.advance(61_000);
  await get(url, second.cert);
  expect(await get(url, second.cert)).toEqual({ status: 200, name: 'second' });
  expect(log.filter(({ event }) => event === 'http.failed')).toMatchObject([{ route: 'certificate', code: 'E_CONFIG' }]);
});

test('a certificate that cannot be used - refused with what is wrong', () => {
  const dir = folder();
  const [one, two] = [makePair(dir, 'one'), makePair(dir, 'two')];
  const read = (certFile: string, key: string) => readTls({ certFile, key: secretFromFile(key) });
  expect(() => read(one.cert, two.key)).toThrow(expect.objectContaining({ code: 'E_CONFIG' }));
  expect(() => read(join(dir, 'none.pem'), one.key)).toThrow(expect.objectContaining({ code: 'E_CONFIG' }));
  chmodSync(one.key, 0o644);
  expect(() => read(one.cert, one.key)).toThrow(expect.objectContaining({ code: 'E_SECRET_MODE' }));
});
