// Stands before a real store as one that takes locked objects with a Content-MD5 alone, and refuses all others in its words.
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';

export interface Md5Gate {
  readonly endpoint: string;
  /** Of each PUT with a body, in order: whether it had the header. */
  readonly puts: boolean[];
}

/** `refusal`: the code and words of an answer of status 400. */
export async function md5Gate(endpoint: string, refusal: { readonly code: string; readonly message: string }): Promise<Md5Gate> {
  const behind = new URL(endpoint);
  const puts: boolean[] = [];
  const server = createServer((incoming, answer) => {
    const { method, headers, url } = incoming;
    const isPut = method === 'PUT' && headers['x-amz-object-lock-mode'] !== undefined;
    if (isPut) puts.push(headers['content-md5'] !== undefined);
    if (isPut && headers['content-md5'] === undefined) {
      incoming.resume().once('end', () => {
        answer.writeHead(400, { 'content-type': 'application/xml' });
        answer.end(
          `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${refusal.code}</Code><Message>${refusal.message}</Message></Error>`,
        );
      });
      return;
    }
    const passed = request({ host: behind.hostname, port: behind.port, method, path: url, headers }, (given) => {
      answer.writeHead(given.statusCode ?? 502, given.headers);
      given.pipe(answer);
    });
    passed.once('error', () => answer.destroy());
    incoming.pipe(passed);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, puts };
}
