import { expect, test } from 'vitest';
import { openCatalog } from '../../src/catalog/open.ts';
import { createToken, findToken, listTokens, type NewToken, recordTokenUse, revokeToken, tokenDocument } from '../../src/catalog/tokens.ts';
import { FakeClock } from '../fake-clock.ts';
import { tempDir } from '../temp-dir.ts';

const DAY_MS = 86_400_000;
const PORTAL: NewToken = { name: 'portal', role: 'client', shops: ['dupont'], expiresAt: null, who: 'marie' };

async function opened() {
  const clock = new FakeClock();
  return { clock, catalog: await openCatalog(await tempDir()) };
}

test('a token is found by its secret alone, of which only a hash is kept', async () => {
  const { clock, catalog } = await opened();
  await using _ = catalog;
  const { secret, row } = await createToken(catalog, clock, PORTAL);
  expect(secret).toMatch(/^coffre_[0-9a-z]{26}_[A-Za-z0-9_-]{43}$/);
  expect(await findToken(catalog, clock, secret)).toEqual(row);
  const kept = JSON.stringify([
    await catalog.db.selectFrom('tokens').selectAll().execute(),
    await catalog.db.selectFrom('audit').selectAll().execute(),
  ]);
  expect(kept).not.toContain(secret.split('_').slice(2).join('_'));
  expect(JSON.stringify(tokenDocument(row))).not.toContain(row.hash);
});

test('what is not quite the secret is nobody - any character changed, cut, or another token’s id', async () => {
  const { clock, catalog } = await opened();
  await using _ = catalog;
  const { secret } = await createToken(catalog, clock, PORTAL);
  const other = await createToken(catalog, clock, { ...PORTAL, name: 'other' });
  const wrong = [...secret].map((char, at) => secret.slice(0, at) + (char === 'x' ? 'y' : 'x') + secret.slice(at + 1));
  wrong.push(
    '',
    'coffre',
    `coffre_${other.row.id}_${secret.split('_').slice(2).join('_')}`,
    secret.slice(0, -1),
    `${secret}x`,
    ` ${secret}`,
  );
  for (const attempt of wrong) expect(await findToken(catalog, clock, attempt)).toBeNull();
});

test('expired or revoked - in force no more, listed with all alone, and the name is free again', async () => {
  const { clock, catalog } = await opened();
  await using _ = catalog;
  const brief = await createToken(catalog, clock, { ...PORTAL, name: 'brief', expiresAt: clock.nowMs() + DAY_MS });
  const portal = await createToken(catalog, clock, PORTAL);
  await expect(createToken(catalog, clock, PORTAL)).rejects.toMatchObject({ code: 'E_USAGE' });
  clock.advance(DAY_MS);
  expect(await findToken(catalog, clock, brief.secret)).toBeNull();
  await revokeToken(catalog, clock, 'portal', 'paul');
  expect(await findToken(catalog, clock, portal.secret)).toBeNull();
  expect(await listTokens(catalog, clock)).toEqual([]);
  expect((await listTokens(catalog, clock, { all: true })).map((row) => row.name)).toEqual(['portal', 'brief']);
  await expect(revokeToken(catalog, clock, portal.row.id, 'paul')).rejects.toMatchObject({ code: 'E_UNKNOWN_TOKEN' });
  await createToken(catalog, clock, PORTAL);
  const said = await catalog.db.selectFrom('audit').select(['who', 'what']).orderBy('id').execute();
  expect(said).toEqual([
    { who: 'marie', what: 'token create' },
    { who: 'marie', what: 'token create' },
    { who: 'paul', what: 'token revoke' },
    { who: 'marie', what: 'token create' },
  ]);
});

test('its use is written down at most once a minute, and again after a clock was set back', async () => {
  const { clock, catalog } = await opened();
  await using _ = catalog;
  const { secret, row } = await createToken(catalog, clock, PORTAL);
  const used = async (from: string) => {
    const now = await findToken(catalog, clock, secret);
    if (now) await recordTokenUse(catalog, clock, now, from);
    return (await findToken(catalog, clock, secret))?.lastUsedFrom;
  };
  expect(row.lastUsedAt).toBeNull();
  expect(await used('192.0.2.1')).toBe('192.0.2.1');
  clock.advance(59_999);
  expect(await used('192.0.2.2')).toBe('192.0.2.1');
  clock.advance(1);
  expect(await used('192.0.2.3')).toBe('192.0.2.3');
  clock.setWall(clock.nowMs() - DAY_MS);
  expect(await used('192.0.2.4')).toBe('192.0.2.4');
});

test.each<[string, Partial<NewToken>]>([
  ['a client without shops', { shops: null }],
  ['a client of no shop', { shops: [] }],
  ['an administrator with shops', { role: 'admin' }],
  ['an end that has passed', { expiresAt: 0 }],
  ['a name that would forge a line of the audit', { name: 'a\nb' }],
  ['no name', { name: '' }],
])('refused - %s', async (_, changed) => {
  const { clock, catalog } = await opened();
  await using _catalog = catalog;
  await expect(createToken(catalog, clock, { ...PORTAL, ...changed })).rejects.toMatchObject({ code: 'E_USAGE' });
});
