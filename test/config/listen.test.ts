// Where the daemon listens, as the configuration says it.
import { expect, test } from 'vitest';
import { parseConfig } from '../../src/config/load.ts';
import { FILE, refusal } from './refusal.ts';

const configured = (listen: string): string =>
  `stateDir: /x\nlisten: ${listen}\nencryption: none\nvaults: { nas: { type: filesystem, path: /nas } }\nplans: { p: { retention: 14d } }\nshops: { a: { plan: p, vaults: [nas], files: { root: /srv/a } } }\n`;
const of = (listen: string) => parseConfig(configured(listen), FILE, {});
const warned = (listen: string): string[] => of(listen).warnings.filter((warning) => warning.includes('listen'));

test('left out - a socket, no port, no TLS, no proxy', () => {
  expect(of('{}').listen).toEqual({ socket: '/run/coffre/coffre.sock', http: null, tls: null, proxies: [] });
});

test('a certificate and its key, proxies - read as they are, paths from the file’s folder', () => {
  const { listen } = of('{ http: "0.0.0.0:443", tls: { certFile: api.pem, keyFile: api.key }, proxies: [127.0.0.1, "::1", 10.0.0.0/8] }');
  expect(listen).toMatchObject({
    http: '0.0.0.0:443',
    tls: { certFile: '/etc/coffre/api.pem' },
    proxies: ['127.0.0.1', '::1', '10.0.0.0/8'],
  });
  expect(listen.tls?.key.from).toBe('/etc/coffre/api.key');
});

test('a port beyond this machine - warned of, unless it is encrypted', () => {
  expect(warned('{ http: "192.0.2.1:80" }')).toEqual([expect.stringContaining('tokens travel unencrypted')]);
  expect(warned('{ http: "192.0.2.1:443", tls: { certFile: a, keyFile: b } }')).toEqual([]);
  expect(warned('{ http: "127.0.0.1:80" }')).toEqual([]);
});

test.each([
  ['TLS without a port', '{ tls: { certFile: a, keyFile: b } }', 'means nothing without listen.http'],
  ['a certificate without its key', '{ http: "127.0.0.1:1", tls: { certFile: a } }', 'listen.tls.keyFile is missing'],
  ['two keys', '{ http: "127.0.0.1:1", tls: { certFile: a, keyFile: b, key: { env: C } } }', 'is given twice'],
  ['a proxy by its name', '{ proxies: [localhost] }', 'an address or a network is expected'],
  ['everybody as a proxy, misspelt', '{ proxies: ["0.0.0.0/33"] }', 'an address or a network is expected'],
  ['everybody as a proxy', '{ proxies: ["0.0.0.0/0"] }', 'an address or a network is expected'],
  ['a port alone', '{ http: "8321" }', 'an address and port are expected'],
])('%s - refused', (_, listen, message) => {
  expect(refusal(configured(listen))).toEqual({ code: 'E_CONFIG', message: expect.stringContaining(message) });
});
