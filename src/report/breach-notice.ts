// What a client is told of tampering or loss, as a draft: nature, what of theirs, how much, since when, and what was done. Pure.
import { natureOf } from '../catalog/breaches.ts';
import type { IncidentKind } from '../catalog/tables/incidents.ts';
import { bytesIn, type Language, momentIn, wholeNumber } from '../document/wording.ts';
import type { VaultCopies } from './breach-copies.ts';

/** Instants are epoch milliseconds. */
export interface BreachFacts {
  readonly id: string;
  readonly shop: string;
  /** How the owner is addressed; null: not by name. */
  readonly name: string | null;
  readonly vault: string;
  readonly openedAt: number;
  readonly deadline: number;
  /** Of this shop, or of the daemon's own objects beside it. */
  readonly incidents: readonly {
    readonly kind: IncidentKind;
    /** Empty of what is about no single object. */
    readonly key: string;
    readonly sizeBytes: number;
    readonly firstSeenAt: number;
    readonly lastSeenAt: number;
    readonly goneAt: number | null;
    readonly acknowledgedAt: number | null;
    readonly reason: string | null;
    /** Of the daemon's own objects: nothing of the shop is in them. */
    readonly isOwn: boolean;
  }[];
  /** The last look at the vault that found everything as it should be; null: none is known. */
  readonly lastGoodLookAt: number | null;
  /** What other vaults hold whole. */
  readonly elsewhere: readonly VaultCopies[];
  /** What this vault holds without known damage; null: nothing. */
  readonly here: VaultCopies | null;
  /** Whether what was found stays beside what is stored anew, as evidence: a folder has one file for a key. */
  readonly keepsEvidence: boolean;
  /** Of what the shop has copies in this vault. Empty: not known. */
  readonly sources: readonly ('database' | 'files' | 'server')[];
  /** When the first message that tells operators of the case was sent; null: none was, or it is not known any more. */
  readonly alertedAt: number | null;
  readonly zone: string;
}

export interface BreachDraft {
  readonly shop: string;
  readonly language: Language;
  readonly subject: string;
  readonly text: string;
}

const COLON = '\u00a0:';
const SEMICOLON = '\u202f;';

/** `replaced`: of one key both, what was stored is gone and something else stands there. */
type FindingKind = IncidentKind | 'replaced';
type Told = Readonly<Partial<Record<FindingKind, (count: string, isMany: boolean) => string>>>;

/** What is told of one object, however many incidents say it. */
interface Finding {
  readonly kinds: ReadonlySet<FindingKind>;
  readonly bytes: number;
  readonly isOwn: boolean;
  readonly isGone: boolean;
}

const FRENCH_KINDS: Told = {
  replaced: (count, isMany) =>
    `${count} ${isMany ? 'objets sauvegardés ont été remplacés' : 'objet sauvegardé a été remplacé'} par un autre contenu (altération)`,
  missing: (count, isMany) => `${count} ${isMany ? 'objets sauvegardés ont disparu' : 'objet sauvegardé a disparu'} du stockage (perte)`,
  altered: (count, isMany) =>
    `${count} ${isMany ? 'objets ne contiennent plus' : 'objet ne contient plus'} ce qui avait été enregistré (altération)`,
  lock: (count, isMany) =>
    `la protection ${isMany ? `de ${count} objets` : 'd’un objet'} contre l’effacement a été affaiblie ou raccourcie`,
  'delete marker': (count, isMany) =>
    `${count} ${isMany ? 'objets ont été marqués' : 'objet a été marqué'} comme supprimé${isMany ? 's' : ''} par un tiers`,
  'foreign version': (count, isMany) =>
    `${count} ${isMany ? 'contenus étrangers ont été déposés' : 'contenu étranger a été déposé'} à la place d’objets sauvegardés`,
};
const ENGLISH_KINDS: Told = {
  replaced: (count, isMany) => `${count} stored ${isMany ? 'objects were' : 'object was'} replaced by other content (alteration)`,
  missing: (count, isMany) => `${count} stored ${isMany ? 'objects have' : 'object has'} disappeared from the storage (loss)`,
  altered: (count, isMany) => `${count} ${isMany ? 'objects no longer hold' : 'object no longer holds'} what was stored (alteration)`,
  lock: (count, isMany) => `the protection against deletion of ${count} ${isMany ? 'objects' : 'object'} was weakened or shortened`,
  'delete marker': (count, isMany) => `${count} ${isMany ? 'objects were' : 'object was'} marked as deleted by somebody else`,
  'foreign version': (count, isMany) => `foreign content was put in the place of ${count} stored ${isMany ? 'objects' : 'object'}`,
};

/** A draft: whoever sends it completes what only people know. */
export function breachDraft(facts: BreachFacts, language: Language): BreachDraft {
  const { shop } = facts;
  return language === 'fr'
    ? { shop, language, subject: `Incident de sécurité sur les sauvegardes de la boutique ${shop} – notification`, text: french(facts) }
    : { shop, language, subject: `Security incident on the backups of the shop ${shop} – notification`, text: english(facts) };
}

/** By object: a file that somebody replaced is both missing and foreign to the vault, and one alteration to its owner. */
function findingsOf({ incidents }: BreachFacts): Finding[] {
  const groups = Map.groupBy(incidents, (one) => (one.key === '' ? one : one.key));
  return [...groups.values()].map((rows) => {
    const kinds = new Set<FindingKind>(rows.map(({ kind }) => kind));
    if (kinds.has('missing') && kinds.has('foreign version')) {
      kinds.delete('missing');
      kinds.delete('foreign version');
      kinds.add('replaced');
    }
    // the volume is that of what was stored; of a foreign version alone its own is all that is known
    const stored = rows.filter(({ kind }) => kind !== 'foreign version' && kind !== 'delete marker');
    const bytes = Math.max(...(stored.length > 0 ? stored : rows).map(({ sizeBytes }) => sizeBytes));
    return { kinds, bytes, isOwn: rows.every(({ isOwn }) => isOwn), isGone: rows.every(({ goneAt }) => goneAt !== null) };
  });
}

function kindsOf(findings: readonly Finding[], language: Language): string[] {
  const words = language === 'fr' ? FRENCH_KINDS : ENGLISH_KINDS;
  const kinds = new Set(findings.flatMap((finding) => [...finding.kinds]));
  return [...kinds].map((kind) => {
    const count = findings.filter((finding) => finding.kinds.has(kind)).length;
    return words[kind]?.(wholeNumber(count, language), count > 1) ?? kind;
  });
}

/** What the copies in this vault hold. What nobody can say from here is marked, to be completed. */
function contentsIn(language: Language, { sources }: BreachFacts): string {
  const has = (source: 'database' | 'files' | 'server'): boolean => sources.includes(source);
  const isFrench = language === 'fr';
  const parts = [
    has('database') ? (isFrench ? 'la base de données de la boutique' : 'the database of the shop') : null,
    has('files') ? (isFrench ? 'les fichiers de la boutique' : 'the files of the shop') : null,
    has('server') ? (isFrench ? 'la configuration du serveur' : 'the configuration of the server') : null,
  ].filter((part) => part !== null);
  const last = parts.pop();
  if (last === undefined)
    return isFrench ? '[à compléter\u00a0: ce que contiennent ces sauvegardes].' : '[to be completed: what these backups hold].';
  const all = parts.length === 0 ? last : `${parts.join(', ')} ${isFrench ? 'et' : 'and'} ${last}`;
  const people = has('database')
    ? isFrench
      ? ', donc des données de vos clients'
      : ', and therefore data of your customers'
    : has('files')
      ? isFrench
        ? ', qui peuvent comprendre des données de vos clients'
        : ', which may hold data of your customers'
      : '';
  return isFrench ? `les sauvegardes de cet espace contiennent ${all}${people}.` : `the backups in this storage hold ${all}${people}.`;
}

const volumeOf = (findings: readonly Finding[]): number => findings.reduce((sum, { bytes }) => sum + bytes, 0);
const hasLock = ({ incidents }: BreachFacts): boolean => incidents.some(({ kind }) => kind === 'lock');

function spanOf({ incidents, openedAt }: BreachFacts): { readonly from: number; readonly to: number } {
  const seen = incidents.map(({ firstSeenAt }) => firstSeenAt);
  const last = incidents.map(({ goneAt, lastSeenAt }) => goneAt ?? lastSeenAt);
  return { from: Math.min(openedAt, ...seen), to: Math.max(openedAt, ...last) };
}

function endedIn(language: Language, ended: number, of: number): string {
  const count = wholeNumber(ended, language);
  if (language === 'fr') {
    if (of === 1) return 'l’anomalie n’a plus été constatée lors d’un contrôle ultérieur';
    return `${ended === 1 ? 'l’une' : count} des anomalies n’${ended === 1 ? 'a' : 'ont'} plus été constatée${ended === 1 ? '' : 's'} lors d’un contrôle ultérieur`;
  }
  if (of === 1) return 'the finding was gone at a later check';
  return `${ended === 1 ? 'one of the findings was' : `${count} of the findings were`} gone at a later check`;
}

/** Vault by vault, and of each what is to be said of how its copies are protected: a lock that has ended takes nothing from what they hold. */
function copiesIn(language: Language, { elsewhere, here, zone }: BreachFacts): string[] {
  const isFrench = language === 'fr';
  const held = ({ newestAt, snapshots }: VaultCopies): string => {
    const [count, when] = [wholeNumber(snapshots, language), momentIn(language, newestAt, zone)];
    if (isFrench) return snapshots === 1 ? `1 sauvegarde, du ${when}` : `${count} sauvegardes, la plus récente du ${when}`;
    return snapshots === 1 ? `1 backup, of ${when}` : `${count} backups, the newest of ${when}`;
  };
  const remarks = ({ snapshots, unsure, weaklyLocked }: VaultCopies): string => {
    const of = (count: number): string =>
      count === snapshots
        ? ''
        : isFrench
          ? ` pour ${wholeNumber(count, language)} d’entre elles`
          : ` for ${wholeNumber(count, language)} of them`;
    const said = [
      weaklyLocked === 0
        ? null
        : isFrench
          ? `le verrou contre l’effacement est terminé, ou plus court ou plus faible que prévu${of(weaklyLocked)}, sans que le contenu soit en cause`
          : `the lock against deletion has ended, or is shorter or weaker than it should be${of(weaklyLocked)}; the content is not in question`,
      unsure === 0
        ? null
        : isFrench
          ? `le dernier contrôle n’a pas abouti sans anomalie${of(unsure)}\u00a0: contenu à revérifier`
          : `the last check did not end without a finding${of(unsure)}: the content is to be checked again`,
    ].filter((part) => part !== null);
    return said.length === 0 ? '' : ` (${said.join(isFrench ? `${SEMICOLON} ` : '; ')})`;
  };
  const quoted = (vault: string): string => (isFrench ? `«\u00a0${vault}\u00a0»` : `“${vault}”`);
  const others = elsewhere.map((one) => `${quoted(one.vault)}${isFrench ? COLON : ':'} ${held(one)}${remarks(one)}`);
  const first = isFrench ? `Copies disponibles${COLON} ` : 'Copies available: ';
  const none = isFrench
    ? 'aucune autre copie complète de vos sauvegardes n’est connue dans un autre espace de stockage.'
    : 'no other complete copy of your backups is known in another storage.';
  const some = isFrench
    ? `vos sauvegardes sont aussi conservées dans d’autres espaces de stockage${COLON}`
    : 'your backups are kept in other storages too:';
  return [
    `${first}${others.length === 0 ? none : some}`,
    ...bullets(others, isFrench ? SEMICOLON : ';'),
    ...(here === null
      ? []
      : [
          isFrench
            ? `Dans l’espace de stockage touché lui-même, aucun dommage n’est connu sur le contenu de ${held(here)}${remarks(here)}.`
            : `In the storage concerned itself no damage is known to the content of ${held(here)}${remarks(here)}.`,
        ]),
  ];
}

/** What both languages tell of. */
function lookOf(facts: BreachFacts) {
  const { incidents, keepsEvidence } = facts;
  const findings = findingsOf(facts);
  const ended = findings.filter(({ isGone }) => isGone).length;
  return {
    findings,
    span: spanOf(facts),
    own: findings.filter(({ isOwn }) => !isOwn).length,
    ended,
    isKept: keepsEvidence || ended === 0,
    reasons: [...new Set(incidents.flatMap(({ reason }) => reason ?? []))],
    isLoss: incidents.some(({ kind }) => natureOf(kind) === 'loss'),
  };
}

function french(facts: BreachFacts): string {
  const { alertedAt, deadline, id, lastGoodLookAt, name, shop, vault, zone } = facts;
  const { ended, findings, isKept, isLoss, own, reasons, span } = lookOf(facts);
  const when = (atMs: number): string => momentIn('fr', atMs, zone);
  return lines([
    `[BROUILLON – à relire et à compléter avant envoi, au plus tard le ${when(deadline)} (${zone})]`,
    '',
    name === null ? 'Bonjour,' : `Bonjour ${name},`,
    '',
    `Nous vous informons d’un incident constaté sur le stockage des sauvegardes de votre boutique ${shop} (dossier ${id}).`,
    '',
    `Nature de l’incident${COLON}`,
    ...kindsOf(findings, 'fr').map((kind) => `  – ${kind}${SEMICOLON}`),
    own === 0
      ? '  – ces objets appartiennent au système de sauvegarde lui-même et ne contiennent aucune donnée de votre boutique.'
      : `  – ${contentsIn('fr', facts)}`,
    '',
    `Étendue${COLON} ${wholeNumber(findings.length, 'fr')} constat${findings.length > 1 ? 's' : ''} portant sur ${bytesIn('fr', volumeOf(findings))}, dans l’espace de stockage «\u00a0${vault}\u00a0».`,
    `Période${COLON} ${lastGoodLookAt === null ? '' : `dernier contrôle sans anomalie le ${when(lastGoodLookAt)}${SEMICOLON} `}premier constat le ${when(span.from)}, dernier constat le ${when(span.to)} (fuseau ${zone}).`,
    '',
    `Mesures prises${COLON}`,
    ...bullets(
      [
        alertedAt === null
          ? `[à compléter${COLON} comment et quand l’incident a été détecté]`
          : `nos équipes ont été alertées le ${when(alertedAt)}`,
        isKept
          ? 'rien de ce qui a été constaté n’a été effacé, afin de conserver les éléments de preuve'
          : `[à compléter${COLON} les éléments de preuve conservés]`,
        ...(hasLock(facts) ? ['la protection affaiblie est rétablie à chaque contrôle, dès que le stockage le permet'] : []),
        ...(ended > 0 ? [endedIn('fr', ended, findings.length)] : []),
        ...reasons.map((reason) => `constat examiné par nos équipes${COLON} ${reason}`),
      ],
      SEMICOLON,
    ),
    '',
    ...copiesIn('fr', facts),
    '',
    `À compléter${COLON} cause probable, catégories et nombre approximatif de personnes concernées, conséquences pour vous et pour vos clients, mesures à venir, interlocuteur.`,
    ...(isLoss ? ['', 'Une nouvelle sauvegarde complète de votre boutique est recommandée sans attendre.'] : []),
    '',
    'Si l’incident concerne des données à caractère personnel, il vous appartient, en tant que responsable de traitement, d’apprécier la nécessité d’une notification à la CNIL dans les 72\u00a0heures (articles 33 et 34 du RGPD). Nous restons à votre disposition pour vous fournir tout élément utile.',
    '',
    'Cordialement,',
    `[à compléter${COLON} signataire]`,
  ]);
}

function english(facts: BreachFacts): string {
  const { alertedAt, deadline, id, lastGoodLookAt, name, shop, vault, zone } = facts;
  const { ended, findings, isKept, isLoss, own, reasons, span } = lookOf(facts);
  const when = (atMs: number): string => momentIn('en', atMs, zone);
  return lines([
    `[DRAFT – to be read and completed before it is sent, by ${when(deadline)} (${zone})]`,
    '',
    name === null ? 'Hello,' : `Dear ${name},`,
    '',
    `We write to inform you of an incident that was found in the storage of the backups of your shop ${shop} (case ${id}).`,
    '',
    'Nature of the incident:',
    ...kindsOf(findings, 'en').map((kind) => `  – ${kind};`),
    own === 0 ? '  – these objects belong to the backup system itself, and hold no data of your shop.' : `  – ${contentsIn('en', facts)}`,
    '',
    `Extent: ${wholeNumber(findings.length, 'en')} finding${findings.length > 1 ? 's' : ''} concerning ${bytesIn('en', volumeOf(findings))}, in the storage “${vault}”.`,
    `Time: ${lastGoodLookAt === null ? '' : `last check without a finding on ${when(lastGoodLookAt)}; `}first finding on ${when(span.from)}, last finding on ${when(span.to)} (${zone}).`,
    '',
    'Measures taken:',
    ...bullets(
      [
        alertedAt === null ? '[to be completed: how and when the incident was detected]' : `our staff were alerted on ${when(alertedAt)}`,
        isKept
          ? 'nothing of what was found was deleted, so that it can serve as evidence'
          : '[to be completed: the evidence that was kept]',
        ...(hasLock(facts) ? ['protection that was weakened is given again at every check, as soon as the storage allows it'] : []),
        ...(ended > 0 ? [endedIn('en', ended, findings.length)] : []),
        ...reasons.map((reason) => `looked into by our staff: ${reason}`),
      ],
      ';',
    ),
    '',
    ...copiesIn('en', facts),
    '',
    'To be completed: probable cause, categories and approximate number of the people concerned, consequences for you and for your customers, further measures, contact.',
    ...(isLoss ? ['', 'A new full backup of your shop is recommended without delay.'] : []),
    '',
    'If personal data are concerned it is for you, as their controller, to judge whether the supervisory authority has to be notified within 72 hours (articles 33 and 34 of the GDPR). We are at your disposal for whatever you need.',
    '',
    'Kind regards,',
    '[to be completed: who signs]',
  ]);
}

/** All but the last end in the separator. */
const bullets = (items: readonly string[], separator: string): string[] =>
  items.map((item, at) => `  – ${item}${at === items.length - 1 ? '.' : separator}`);
const lines = (all: readonly string[]): string => `${all.join('\n')}\n`;
