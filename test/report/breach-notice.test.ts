import { Temporal } from 'temporal-polyfill';
import { expect, test } from 'vitest';
import { type BreachFacts, breachDraft } from '../../src/report/breach-notice.ts';

const ms = (text: string): number => Temporal.Instant.from(text).epochMilliseconds;
let serial = 0;
const incident = (kind: BreachFacts['incidents'][number]['kind'], other: Partial<BreachFacts['incidents'][number]> = {}) => ({
  ...{ kind, sizeBytes: 6e9, firstSeenAt: ms('2026-11-23T08:00:00Z'), lastSeenAt: ms('2026-11-23T08:00:00Z'), goneAt: null },
  ...{ acknowledgedAt: null, reason: null, isOwn: false, key: `dupont/${++serial}` },
  ...other,
});
const facts = (other: Partial<BreachFacts> = {}): BreachFacts => ({
  ...{ id: '01kcase', shop: 'dupont', name: 'Marie Dupont', vault: 'offsite', openedAt: ms('2026-11-23T08:00:00Z') },
  ...{ deadline: ms('2026-11-25T08:00:00Z'), lastGoodLookAt: ms('2026-11-22T06:00:00Z'), zone: 'Europe/Paris' },
  ...{ sources: ['database', 'files'] as const, alertedAt: ms('2026-11-23T08:02:00Z') },
  incidents: [incident('missing'), incident('missing'), incident('lock', { goneAt: ms('2026-11-24T08:00:00Z') })],
  elsewhere: [
    { vault: 'nas', snapshots: 12, newestAt: ms('2026-11-23T02:30:00Z'), weaklyLocked: 0, unsure: 0 },
    { vault: 'v3', snapshots: 12, newestAt: ms('2026-11-23T02:30:00Z'), weaklyLocked: 5, unsure: 1 },
  ],
  here: null,
  keepsEvidence: true,
  ...other,
});

test.each<['fr' | 'en', readonly string[]]>([
  [
    'fr',
    [
      'au plus tard le 25 novembre 2026 à 09:00',
      '2 objets sauvegardés ont disparu du stockage (perte)',
      '3 constats portant sur 18,0\u00a0Go',
      'dernier contrôle sans anomalie le 22 novembre 2026 à 07:00\u202f; premier constat le 23 novembre 2026 à 09:00, dernier constat le 24 novembre 2026 à 09:00',
      'contiennent la base de données de la boutique et les fichiers de la boutique, donc des données de vos clients',
      'ont été alertées le 23 novembre 2026 à 09:02',
      '«\u00a0nas\u00a0»\u00a0: 12 sauvegardes, la plus récente du 23 novembre 2026 à 03:30\u202f;\n',
      '«\u00a0v3\u00a0»\u00a0: 12 sauvegardes, la plus récente du 23 novembre 2026 à 03:30 (le verrou contre l’effacement est terminé, ou plus court ou plus faible que prévu pour 5 d’entre elles, sans que le contenu soit en cause\u202f; le dernier contrôle n’a pas abouti sans anomalie pour 1 d’entre elles\u00a0: contenu à revérifier).',
      'rien de ce qui a été constaté n’a été effacé',
      'l’une des anomalies n’a plus été constatée',
    ],
  ],
  [
    'en',
    [
      'by 25 November 2026 at 09:00',
      '2 stored objects have disappeared from the storage (loss)',
      '3 findings concerning 18.0\u00a0GB',
      'last check without a finding on 22 November 2026 at 07:00; first finding on 23 November 2026 at 09:00, last finding on 24 November 2026 at 09:00',
      'hold the database of the shop and the files of the shop, and therefore data of your customers',
      'were alerted on 23 November 2026 at 09:02',
      '“nas”: 12 backups, the newest of 23 November 2026 at 03:30;\n',
      'the lock against deletion has ended, or is shorter or weaker than it should be for 5 of them; the content is not in question; the last check did not end without a finding for 1 of them',
    ],
  ],
])('the draft (%s) - nature, volume, time span, measures and copies', (language, said) => {
  const { text } = breachDraft(facts(), language);
  for (const part of said) expect(text).toContain(part);
  expect(text).not.toMatch(/NaN|undefined|null/);
  if (language === 'fr') expect(text).not.toMatch(/[a-zé] [:;!?]/);
});

test('only the system’s own objects, nothing else known - said so, and nothing is made up', () => {
  const { text } = breachDraft(
    facts({ incidents: [incident('altered', { isOwn: true })], lastGoodLookAt: null, elsewhere: [], name: null }),
    'fr',
  );
  expect(text).toContain('ne contiennent aucune donnée de votre boutique');
  expect(text).toContain('aucune autre copie complète');
  expect(text).not.toContain('dernier contrôle sans anomalie');
});

test.each([
  [
    'fr',
    [
      '1 objet sauvegardé a été remplacé par un autre contenu (altération)',
      '1 constat portant sur 6,0\u00a0Go',
      'les fichiers de la boutique, qui peuvent comprendre des données de vos clients',
      '[à compléter\u00a0: comment et quand l’incident a été détecté]',
    ],
  ],
  [
    'en',
    [
      '1 stored object was replaced by other content (alteration)',
      '1 finding concerning 6.0\u00a0GB',
      'hold the files of the shop, which may hold data of your customers',
      '[to be completed: how and when the incident was detected]',
    ],
  ],
] as const)(
  'one file of a shop without a database was replaced, and no message was sent (%s) - one alteration, its bytes once, nothing made up',
  (language, said) => {
    const incidents = [incident('missing', { key: 'dupont/s1' }), incident('foreign version', { key: 'dupont/s1', sizeBytes: 7e9 })];
    const { text } = breachDraft(facts({ incidents, sources: ['files'], alertedAt: null }), language);
    for (const part of said) expect(text).toContain(part);
    expect(text).not.toMatch(/disparu|disappeared|étrangère|foreign|base de données|database|alertées|alerted/);
  },
);

test.each([
  [
    'fr',
    ['aucune autre copie complète', 'aucun dommage n’est connu sur le contenu de 1 sauvegarde, du 23 novembre 2026 à 03:30 (le verrou'],
  ],
  ['en', ['no other complete copy', 'no damage is known to the content of 1 backup, of 23 November 2026 at 03:30 (the lock']],
] as const)(
  'locks were shortened in the only vault (%s) - what it holds is told all the same, with what its lock is worth',
  (language, said) => {
    const here = { vault: 'offsite', snapshots: 1, newestAt: ms('2026-11-23T02:30:00Z'), weaklyLocked: 1, unsure: 0 };
    const { text } = breachDraft(facts({ incidents: [incident('lock')], elsewhere: [], here }), language);
    for (const part of said) expect(text).toContain(part);
  },
);

test('a folder in which a finding is over - nobody claims that what was found is still there', () => {
  const gone = incident('altered', { goneAt: ms('2026-11-24T08:00:00Z') });
  const { subject, text } = breachDraft(facts({ incidents: [gone], keepsEvidence: false }), 'fr');
  expect(text).not.toContain('n’a été effacé');
  expect(text).toContain('l’anomalie n’a plus été constatée');
  expect(subject).toBe('Incident de sécurité sur les sauvegardes de la boutique dupont – notification');
});
