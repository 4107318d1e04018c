// Who is told, in tests: a real SMTP server and a real HTTP server on loopback, that keep what came and can be made to refuse it.
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { SMTPServer } from 'smtp-server';
import { onTestFinished } from 'vitest';
import { tempDir } from '../temp-dir.ts';

export interface Mail {
  readonly from: string;
  readonly to: readonly string[];
  readonly text: string;
  readonly login: string | null;
  readonly encrypted: boolean;
}

export interface MailServer {
  readonly port: number;
  readonly caFile: string;
  readonly mails: Mail[];
  refuses: boolean;
}

export const LOGIN = { user: 'coffre', password: 'hunter2-smtp' } as const;

/** `security` as in the configuration: `none` offers no encryption at all. */
export async function startMailServer(security: 'starttls' | 'tls' | 'none'): Promise<MailServer> {
  const dir = await tempDir();
  const [key, cert] = [join(dir, 'key.pem'), join(dir, 'cert.pem')];
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
  execFileSync(
    'openssl',
    [
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:prime256v1',
      '-nodes',
      '-days',
      '2',
      '-keyout',
      key,
      '-out',
      cert,
      ...subject,
    ],
    { stdio: 'ignore' },
  );
  const state: MailServer & { port: number } = { port: 0, caFile: cert, mails: [], refuses: false };
  const server = new SMTPServer({
    secure: security === 'tls',
    key: readFileSync(key),
    cert: readFileSync(cert),
    authOptional: security === 'none',
    disabledCommands: security === 'none' ? ['STARTTLS', 'AUTH'] : [],
    logger: false,
    onAuth({ password, username }, _session, done) {
      if (username === LOGIN.user && password === LOGIN.password) done(null, { user: username });
      else done(new Error('wrong login'));
    },
    onMailFrom(_address, _session, done) {
      if (state.refuses) done(Object.assign(new Error('try again later'), { responseCode: 451 }));
      else done();
    },
    onData(stream, session, done) {
      const parts: Buffer[] = [];
      stream.on('data', (part: Buffer) => parts.push(part));
      stream.on('end', () => {
        const { mailFrom, rcptTo } = session.envelope;
        state.mails.push({
          from: mailFrom === false ? '' : mailFrom.address,
          to: rcptTo.map(({ address }) => address),
          text: unfold(Buffer.concat(parts).toString('utf8')),
          login: typeof session.user === 'string' ? session.user : null,
          encrypted: session.secure,
        });
        done();
      });
    },
  });
  server.on('error', () => {});
  server.listen(0, '127.0.0.1');
  await once(server.server, 'listening');
  onTestFinished(() => new Promise<void>((resolve) => server.close(() => resolve())));
  state.port = (server.server.address() as AddressInfo).port;
  return state;
}

/** Headers in one line each, and the body's quoted-printable read. */
function unfold(raw: string): string {
  const [head = '', ...body] = raw.split('\r\n\r\n');
  const text = body.join('\n\n').replace(/=\r\n/g, '');
  const bytes = text.replace(/((?:=[0-9A-F]{2})+)/g, (run) => Buffer.from(run.replaceAll('=', ''), 'hex').toString('utf8'));
  return `${head.replace(/\r\n[ \t]+/g, ' ')}\n\n${bytes}`;
}

export interface Call {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface Receiver {
  readonly url: string;
  readonly calls: Call[];
  status: number;
}

export async function startReceiver(): Promise<Receiver> {
  const receiver: Receiver & { url: string } = { url: '', calls: [], status: 200 };
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      const { headers, method = '', url = '' } = request;
      receiver.calls.push({ method, url, headers, body: Buffer.concat(parts).toString('utf8') });
      response.writeHead(receiver.status, receiver.status === 302 ? { location: `${receiver.url}/elsewhere` } : {}).end('thanks');
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  });
  receiver.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return receiver;
}
