// The certificate of the API: read at the start, and again when its file has changed, so that a renewal needs no restart.
import { readFileSync, statSync } from 'node:fs';
import type { Server } from 'node:https';
import { createSecureContext } from 'node:tls';
import type { Config } from '../config/config.ts';
import { asCoffreError, CoffreError } from '../errors.ts';
import type { Service } from '../schedule/service.ts';

type Tls = NonNullable<Config['listen']['tls']>;

/** The files are looked at when somebody connects, and at most this often. */
const LOOK_EVERY_MS = 60_000;

/** PEM of both. Throws E_CONFIG, E_SECRET_MISSING, E_SECRET_MODE. */
export function readTls({ certFile, key }: Tls): { readonly cert: string; readonly key: string } {
  let cert: string;
  try {
    cert = readFileSync(certFile, 'utf8');
  } catch (cause) {
    throw new CoffreError('E_CONFIG', `listen.tls.certFile ${certFile} cannot be read: ${(cause as NodeJS.ErrnoException).code}`, {
      cause,
    });
  }
  const pair = { cert, key: key.read() };
  try {
    createSecureContext(pair);
  } catch (cause) {
    throw new CoffreError('E_CONFIG', `listen.tls: ${certFile} and the key from ${key.from} do not make a pair`, {
      hint: 'both are PEM; the certificate comes first in its file, then those that signed it',
      cause,
    });
  }
  return pair;
}

/** Gives the server the new certificate once there is one; one that cannot be used is logged, and the old one stays. */
export function renewTls(server: Server, tls: Tls, { clock, log }: Pick<Service, 'clock' | 'log'>): void {
  let known = changedAt(tls.certFile);
  let lookedAtMs = clock.monotonicMs();
  server.on('connection', () => {
    const nowMs = clock.monotonicMs();
    if (nowMs - lookedAtMs < LOOK_EVERY_MS) return;
    lookedAtMs = nowMs;
    const now = changedAt(tls.certFile);
    if (now === known) return;
    known = now;
    try {
      server.setSecureContext(readTls(tls));
    } catch (error) {
      const { code, message } = asCoffreError(error);
      log.error({ event: 'http.failed', method: 'TLS', route: 'certificate', code, err: error }, message);
    }
  });
}

function changedAt(file: string): string {
  try {
    const { ino, mtimeMs } = statSync(file);
    return `${ino} ${mtimeMs}`;
  } catch {
    return 'gone';
  }
}
