import { generateKeyPairSync } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { certificatePage } from '../../src/report/certificate-page.ts';
import { type Certificate, signCertificate } from '../../src/retention/certificate.ts';

const { privateKey } = generateKeyPairSync('ed25519');
const certificate = (other: Partial<Certificate> = {}): Certificate => ({
  ...{ format: 1, kind: 'erasure', shop: 'dupont', at: '2026-11-23T09:00:00Z', orderedAt: '2026-11-23T08:59:00Z', orderedBy: 'marie' },
  ...{ reason: 'demande RGPD du <3 mars>', endsAt: null, deleted: [{ vault: 'nas', objects: 1240, bytes: 52.6e9 }] },
  remains: [
    { vault: 'offsite', objects: 210, bytes: 9.4e9, lockMode: 'COMPLIANCE', until: '2026-12-07T02:40:00Z' },
    { vault: 'nas', objects: 3, bytes: 12e6, lockMode: null, until: null },
  ],
  ...{ remainsUntil: '2026-12-07T02:40:00Z', foreign: [], holds: [], final: false },
  ...other,
});
const page = (other: Partial<Certificate>, language: 'fr' | 'en', withdrawnAt: number | null = null): string =>
  certificatePage(signCertificate(certificate(other), privateKey), { language, timezone: 'Europe/Paris', withdrawnAt });

test('an erasure - what was deleted, what is locked and until when, in the language; what was said by people is text', async () => {
  const french = page({}, 'fr');
  for (const said of [
    ...['Attestation d’effacement', '1\u202f240', '52,6\u00a0Go', '07/12/2026 03:40', 'sans verrou, effacement en cours', '&lt;3 mars&gt;'],
    'le dernier de ces verrous prend fin le 7 décembre 2026 à 03:40',
  ])
    expect(french).toContain(said);
  expect(french).not.toMatch(/<script|<link|src=|href=|NaN|undefined|RETIRÉE|plus rien de ce que/);
  expect(page({}, 'en')).toContain('Certificate of erasure');
  const pages = process.env.COFFRE_REPORT_PAGES;
  if (pages === undefined) return;
  // to be looked at
  await mkdir(pages, { recursive: true });
  for (const lang of ['fr', 'en'] as const) await writeFile(join(pages, `certificate-${lang}.html`), page({}, lang));
});

test('final - nothing is left; a closing without a lock beyond its end; one that was withdrawn; holds and foreign content are told', () => {
  const final = page({ final: true, remains: [], remainsUntil: null }, 'fr');
  expect(final).toContain('plus rien de ce que le système de sauvegarde avait enregistré pour la boutique dupont ne subsistait');
  expect(final).not.toContain('Encore conservé');
  const closing = page(
    { kind: 'closing', endsAt: '2026-12-31T23:00:00Z', deleted: [], remains: [], remainsUntil: null },
    'fr',
    1_790_000_000_000,
  );
  for (const said of ['Attestation de clôture', 'à la fin du 31 décembre 2026', 'Aucun verrou ne dure au-delà', 'RETIRÉE\u00a0:'])
    expect(closing).toContain(said);
  const kept = page({ holds: ['litige 2026-113'], foreign: [{ vault: 'nas', objects: 1, bytes: 5 }] }, 'en');
  for (const said of ['litige 2026-113', 'Foreign content', '5\u00a0B']) expect(kept).toContain(said);
});
