// A message as mail, by SMTP.
import { readFile } from 'node:fs/promises';
import { type Clock, withDeadline } from '../clock.ts';
import type { NotifyConfig } from '../config/config.ts';
import { CoffreError } from '../errors.ts';
import type { Message } from './message.ts';

const CONNECT_WITHIN_MS = 15_000;
const ANSWER_WITHIN_MS = 30_000;
const WITHIN_MS = 60_000;

/** Throws E_NOTIFY with what the server said, E_SECRET_…. */
export async function sendMail(
  clock: Clock,
  mail: NonNullable<NotifyConfig['mail']>,
  message: Message,
  signal?: AbortSignal,
): Promise<void> {
  const { createTransport } = await import('nodemailer');
  const password = mail.password?.read();
  const ca = mail.caFile === null ? {} : { ca: await readFile(mail.caFile) };
  const transport = createTransport({
    ...{ host: mail.host, port: mail.port, secure: mail.security === 'tls' },
    // without it a server, or somebody on the way, that does not offer STARTTLS would get the password in the clear
    requireTLS: mail.security === 'starttls',
    ignoreTLS: mail.security === 'none',
    tls: { minVersion: 'TLSv1.2', ...ca },
    ...(mail.user === null ? {} : { auth: { user: mail.user, pass: password ?? '' } }),
    ...{ connectionTimeout: CONNECT_WITHIN_MS, greetingTimeout: CONNECT_WITHIN_MS, socketTimeout: ANSWER_WITHIN_MS },
    ...{ disableFileAccess: true, disableUrlAccess: true },
  });
  const close = (): void => transport.close();
  signal?.addEventListener('abort', close, { once: true });
  try {
    const late = (): CoffreError => new CoffreError('E_NOTIFY', `${mail.host} did not take the mail within ${WITHIN_MS / 1000} s`);
    await withDeadline(
      clock,
      WITHIN_MS,
      late,
      () =>
        transport.sendMail({
          from: mail.from,
          to: [...(message.to ?? mail.to)],
          subject: message.subject,
          text: message.text,
          attachments: (message.attachments ?? []).map(({ content, name, type }) => ({ filename: name, contentType: type, content })),
          // one thread for each message, and the same one when it is sent twice
          messageId: `<${message.id}.coffre@${message.host}>`,
          headers: { 'Auto-Submitted': 'auto-generated', 'X-Coffre-Message': message.id },
        }),
      signal,
    );
  } catch (error) {
    if (error instanceof CoffreError) throw error;
    throw new CoffreError('E_NOTIFY', `${mail.host}:${mail.port}: ${reasonOf(error)}`, { cause: error });
  } finally {
    signal?.removeEventListener('abort', close);
    transport.close();
  }
}

/** The code and the server's status; its words may repeat addresses, and nodemailer's own the login. */
function reasonOf(error: unknown): string {
  const { code, responseCode } = error as { readonly code?: unknown; readonly responseCode?: unknown };
  const named = typeof code === 'string' ? code : 'failed';
  return typeof responseCode === 'number' ? `${named}, status ${responseCode}` : named;
}
