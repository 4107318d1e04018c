// Which page of a shop a restore in place asks for: nothing said, none, or said in full; what cannot be meant is named.
import { expect, test } from 'vitest';
import { parseConfig } from '../../src/config/load.ts';
import { FILE, refusal } from './refusal.ts';

const withPage = (page: string): string => `timezone: Europe/Paris
encryption: none
vaults: { offsite: { type: filesystem, path: /srv/coffre } }
plans: { standard: { retention: 14d } }
shops: { dupont: { plan: standard, vaults: [offsite], files: { root: /var/www/dupont${page} } } }
contracts: {}
`;
const pageOf = (page: string) => parseConfig(withPage(page), FILE, {}).shops.get('dupont')?.files?.page;

test.each([
  ['', undefined],
  [', page: none', null],
  [', page: {}', { url: null, through: null, marker: null, timeoutMs: 20_000 }],
  [
    ', page: { url: "https://www.dupont.example/fr/", through: "127.0.0.1:8443", text: " Dupont ", within: 5s }',
    { url: 'https://www.dupont.example/fr/', through: { host: '127.0.0.1', port: 8443 }, marker: 'Dupont', timeoutMs: 5000 },
  ],
  [', page: { through: "[::1]" }', { url: null, through: { host: '::1', port: null }, marker: null, timeoutMs: 20_000 }],
])('%s - resolved', (page, resolved) => {
  expect(pageOf(page)).toEqual(resolved);
});

const through = 'a host name or address is expected, with a port or without, such as 127.0.0.1 or 127.0.0.1:8443';
test.each([
  [', page: home', 'files.page is "home": none or { url: …, through: …, text: …, within: … } is expected'],
  [', page: { url: "ftp://x/" }', 'files.page.url is "ftp://x/": an address is expected, such as https://www.dupont.example/'],
  [', page: { through: "127.0.0.1:70000" }', `files.page.through is "127.0.0.1:70000": ${through}`],
  [', page: { through: "[nonsense]" }', `files.page.through is "[nonsense]": ${through}`],
  [', page: { text: "" }', 'files.page.text is "": a text is expected'],
])('%s - named', (page, message) => {
  expect(refusal(withPage(page))).toEqual({ code: 'E_CONFIG', message: `coffre.yaml:5: shops.dupont.${message}` });
});
