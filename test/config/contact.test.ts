// Whom a shop's owner is told through.
import { expect, test } from 'vitest';
import { parseConfig } from '../../src/config/load.ts';
import { FILE, refusal } from './refusal.ts';

const MAIL = 'notify: { mail: { host: localhost, from: a@example.net, to: [b@example.net] } }\n';
const text = (contact: string, notify = MAIL): string =>
  `encryption: none
vaults: { nas: { type: filesystem, path: /srv/coffre } }
plans: { standard: { retention: 14d } }
${notify}shops:
  dupont:
    plan: standard
    vaults: [nas]
    files: { root: /var/www/dupont }
    contact: ${contact}
`;
const contactOf = (contact: string) => parseConfig(text(contact), FILE, {}).shops.get('dupont')?.contact;

test('one address or several, with a language and a name', () => {
  expect(contactOf('{ email: marie@dupont.example }')).toEqual({ emails: ['marie@dupont.example'], language: 'en', name: null });
  expect(contactOf('{ email: [a@x.fr, b@x.fr], language: fr, name: Marie }')).toEqual({
    ...{ emails: ['a@x.fr', 'b@x.fr'], language: 'fr', name: 'Marie' },
  });
  expect(contactOf('null')).toBeNull();
});

test.each([
  ['{ email: marie }', 'is "marie": a mail address is expected, or a list of them'],
  ['{ email: "a@x.fr\\nBcc: b@x.fr" }', 'a mail address is expected'],
  ['{ email: "a@x.fr, b@x.fr" }', 'a mail address is expected'],
  ['{ email: a@x.fr, language: de }', 'fr or en is expected'],
])('%s - refused', (contact, said) => expect(refusal(text(contact)).message).toContain(said));

test('an address, and no mail server - a warning', () => {
  const { warnings } = parseConfig(text('{ email: a@x.fr }', ''), FILE, {});
  expect(warnings.join('\n')).toContain('shops.dupont.contact.email is told nothing: notify.mail is not configured');
  expect(parseConfig(text('{ email: a@x.fr }'), FILE, {}).warnings.join('\n')).not.toContain('contact');
});
