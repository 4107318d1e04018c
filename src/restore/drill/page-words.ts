// The words of the page that an auditor is handed, in French and in English.
import type { Language } from '../../document/wording.ts';
import type { ObjectState } from './evidence.ts';

export interface PageWords {
  readonly title: string;
  readonly passed: string;
  readonly failed: string;
  readonly intro: string;
  /** Of one that did not restore everything. */
  readonly introBroken: string;
  readonly facts: Readonly<
    Record<'shop' | 'plan' | 'promise' | 'drill' | 'askedBy' | 'from' | 'site' | 'into' | 'begun' | 'ended' | 'coffre' | 'signedBy', string>
  >;
  /** Who asked, where nobody did. */
  readonly schedule: string;
  readonly signedBy: Readonly<Record<'daemon' | 'command', string>>;
  readonly offsite: string;
  readonly vaultTypes: Readonly<Record<'s3' | 'filesystem', string>>;
  readonly bucket: string;
  /** After the time promised, by the plan's calendar. */
  readonly calendars: Readonly<Record<string, string>>;
  readonly timesNote: string;
  readonly into: Readonly<Record<'own' | 'configured' | 'files', string>>;
  readonly restored: string;
  readonly columns: Readonly<
    Record<
      | 'source'
      | 'snapshot'
      | 'asOf'
      | 'age'
      | 'volume'
      | 'content'
      | 'took'
      | 'check'
      | 'result'
      | 'found'
      | 'phase'
      | 'state'
      | 'object'
      | 'version'
      | 'bytes'
      | 'sha256',
      string
    >
  >;
  readonly sources: Readonly<Record<'database' | 'files' | 'server', string>>;
  readonly whole: string;
  readonly notRestored: string;
  /** Counts come as they are written in the language. */
  readonly tables: (tables: string, rows: string) => string;
  readonly files: (files: string) => string;
  readonly checks: string;
  readonly checkNames: Readonly<Record<string, string>>;
  readonly ok: string;
  readonly red: string;
  readonly unknown: string;
  readonly rto: string;
  readonly rtoKept: (took: string, target: string) => string;
  readonly rtoBroken: (took: string, target: string) => string;
  readonly rtoUnknown: string;
  readonly rtoNote: string;
  readonly phases: string;
  readonly phaseNames: Readonly<Record<string, string>>;
  readonly phasesNote: string;
  readonly objects: string;
  readonly objectsNote: (count: string, bytes: string) => string;
  /** Of evidence that does not say which ones were read. */
  readonly objectsBroken: (count: string, bytes: string) => string;
  /** `lacking`: how many of each other state. */
  readonly objectsLacking: (count: string, bytes: string, named: string, lacking: string) => string;
  readonly objectStates: Readonly<Record<ObjectState, string>>;
  readonly colon: string;
  /** What a check found, from its figures, written in the language; null: its own sentence says it. */
  readonly found: (check: string, figures: Readonly<Record<string, string>>) => string | null;
  readonly said: (detail: string) => string;
  readonly digest: string;
  readonly verify: string;
  readonly verifySteps: readonly string[];
  readonly verifyLast: string;
  readonly fingerprint: string;
  readonly signature: string;
  readonly detailsNote: string;
}

type Found = Readonly<Record<string, (figures: Readonly<Record<string, string>>) => string>>;

const FOUND_EN: Found = {
  rows: (f) => `${f.found} rows, ${f.expected} expected`,
  files: (f) => `${f.found} files, ${f.expected} expected`,
  tables: (f) =>
    f.found === undefined
      ? `${f.tables} tables, ${f.missing} missing of ${f.expected} expected`
      : `${f.found} tables, ${f.expected} expected`,
  version: (f) => `files ${f.files}, database ${f.database}, expected ${f.expected}`,
  products: (f) => `${f.products} products`,
  orders: (f) => (f.newest === '–' ? `${f.orders} orders` : `${f.orders} orders, the newest of ${f.newest}`),
  images: (f) => `${f.missing} of ${f.images} images without a file, ${f.allowed} tolerated`,
};

const FOUND_FR: Found = {
  rows: (f) => `${f.found} lignes trouvées, ${f.expected} attendues`,
  files: (f) => `${f.found} fichiers trouvés, ${f.expected} attendus`,
  tables: (f) =>
    f.found === undefined
      ? `${f.tables} tables, ${f.missing} manquantes sur ${f.expected} attendues`
      : `${f.found} tables trouvées, ${f.expected} attendues`,
  version: (f) => `fichiers ${f.files}, base de données ${f.database}, version attendue ${f.expected}`,
  products: (f) => `${f.products} produits`,
  orders: (f) => (f.newest === '–' ? `${f.orders} commandes` : `${f.orders} commandes, la dernière du ${f.newest}`),
  images: (f) => `${f.missing} images sans fichier sur ${f.images}, ${f.allowed} tolérées`,
};

const EN: PageWords = {
  title: 'Restore drill',
  passed: 'PASSED',
  failed: 'FAILED',
  intro:
    'The backups named here were read from the place named here, restored completely into a scratch place, compared with their signed manifests, looked at as a shop, timed, and removed again.',
  introBroken:
    'The backups named here were read from the place named here, to be restored completely into a scratch place, which was removed afterwards. Not all of it came back: what failed stands below.',
  facts: {
    ...{ shop: 'Shop', plan: 'Plan', promise: 'Time promised', drill: 'Number of the drill', askedBy: 'Asked for by' },
    ...{ from: 'Read from', site: 'Site', into: 'Restored into' },
    ...{ begun: 'Begun', ended: 'Ended', coffre: 'Software', signedBy: 'Signed by' },
  },
  schedule: 'the plan’s schedule',
  signedBy: {
    daemon:
      'the backup service, with the agency’s key. It vouches for what the restore unit, a separate process that saw the data, reported to it',
    command: 'an administrator’s command, with the agency’s key. It vouches for what its restore unit, a separate process, reported to it',
  },
  offsite: 'away from the shop',
  vaultTypes: { s3: 'object storage', filesystem: 'folder' },
  bucket: 'bucket',
  calendars: { '24x7': ', at any hour', business: ', counted in business hours' },
  timesNote: 'All times on this page are in UTC, Coordinated Universal Time.',
  into: {
    own: 'a database server started for this drill, and an empty folder',
    configured: 'a database made for this drill, and an empty folder',
    files: 'an empty folder',
  },
  restored: 'What was restored',
  columns: {
    ...{ source: 'Source', snapshot: 'Snapshot', asOf: 'State of', age: 'Age', volume: 'Volume', content: 'Content', took: 'Time' },
    ...{ check: 'Check', result: 'Result', found: 'Found', phase: 'Phase', object: 'Object', version: 'Version', bytes: 'Bytes' },
    ...{ sha256: 'SHA-256 of the stored bytes', state: 'State' },
  },
  sources: { database: 'database', files: 'files', server: 'whole machine' },
  whole: 'shop',
  notRestored: 'not restored',
  tables: (tables, rows) => `${tables} tables, ${rows} rows`,
  files: (files) => `${files} files`,
  checks: 'What was checked',
  checkNames: {
    restore: 'restored, and equal to the manifest',
    tables: 'tables',
    rows: 'rows',
    files: 'files',
    version: 'version of the shop',
    products: 'products',
    orders: 'newest order',
    images: 'images of products',
    rto: 'time promised',
  },
  ok: 'ok',
  red: 'NOT PASSED',
  unknown: 'not looked at',
  rto: 'Time',
  rtoKept: (took, target) => `The restore took ${took}. The contract promises ${target}: kept.`,
  rtoBroken: (took, target) => `The restore took ${took}. The contract promises ${target}: NOT kept.`,
  rtoUnknown: 'Not everything was restored: how long it takes is not known.',
  rtoNote:
    'Counted are the restores of all sources, one after the other, each with its comparison; not the making ready of the scratch place.',
  phases: 'Time by phase',
  phaseNames: {
    ...{ download: 'download', open: 'decryption and decompression', write: 'files written', load: 'rows loaded', keys: 'keys built' },
    ...{ check: 'index read, tree compared', fixed: 'manifest, definitions, foreign keys' },
  },
  phasesNote: 'Phases overlap: their sum is more than the time that passed.',
  objects: 'Objects read',
  objectsNote: (count, bytes) => `${count} objects, ${bytes}: each was read whole, and its hash was the one of the signed manifest.`,
  objectsBroken: (count, bytes) =>
    `${count} objects, ${bytes}, are named by the signed manifests that could be read. Of what was restored each was read whole, and had its hash.`,
  objectsLacking: (count, bytes, named, lacking) =>
    `${named} objects are named by the signed manifests. ${count} of them, ${bytes}, were read whole and have the hash that is named: the digest is of these. The others: ${lacking}.`,
  objectStates: { read: 'read', missing: 'missing', altered: 'altered', 'not-read': 'not read' },
  colon: ':',
  found: (check, f) => FOUND_EN[check]?.(f) ?? null,
  said: (detail) => detail,
  digest: 'Digest of the list',
  verify: 'How to check this document',
  verifySteps: [
    'The block below is what was signed. Save it, from this page or as the file evidence.json that came with it, then:',
    'jq -cSj .evidence evidence.json > signed\njq -r .signature.value evidence.json | base64 -d > signature\n(printf 302a300506032b6570032100 | xxd -r -p; jq -r .signature.key evidence.json | base64 -d) > key.der\nopenssl pkeyutl -verify -rawin -pubin -keyform DER -inkey key.der -in signed -sigfile signature',
    'The key must be the agency’s. Its fingerprint, which stands on the agency’s recovery kit, is printed by:',
    "(printf '\\000\\000\\000\\013ssh-ed25519\\000\\000\\000\\040'; jq -r .signature.key evidence.json | base64 -d) | openssl dgst -sha256 -binary | base64",
    'The digest of the list of objects:',
    'jq -r \'.evidence.objects.list[] | "\\(.sha256) \\(.bytes) \\(.key) \\(.versionId)"\' evidence.json | sha256sum',
    'An object can be fetched from the store under its key and version with any client, and sha256sum over it gives the hash listed. Whoever holds an identity of the shop opens it: age -d -i identity object | zstd -d.',
  ],
  verifyLast: 'With coffre at hand: coffre drill verify evidence.json --fingerprint',
  fingerprint: 'Fingerprint of the signing key',
  signature: 'Signature',
  detailsNote: 'What was signed, in full',
};

const FR: PageWords = {
  title: 'Exercice de restauration',
  passed: 'RÉUSSI',
  failed: 'ÉCHOUÉ',
  intro:
    'Les sauvegardes désignées ici ont été lues à l’endroit désigné ici, restaurées en entier dans un espace temporaire, comparées à leurs manifestes signés, contrôlées en tant que boutique, chronométrées, puis l’espace temporaire a été effacé.',
  introBroken:
    'Les sauvegardes désignées ici ont été lues à l’endroit désigné ici, pour être restaurées en entier dans un espace temporaire, effacé ensuite. Tout n’est pas revenu\u00a0: ce qui a échoué est indiqué plus bas.',
  facts: {
    ...{ shop: 'Boutique', plan: 'Formule', promise: 'Délai promis', drill: 'Numéro de l’exercice', askedBy: 'Demandé par' },
    ...{ from: 'Lu depuis', site: 'Site' },
    ...{ into: 'Restauré dans', begun: 'Début', ended: 'Fin', coffre: 'Logiciel', signedBy: 'Signé par' },
  },
  schedule: 'le calendrier de la formule',
  signedBy: {
    daemon:
      'le service de sauvegarde, avec la clé de l’agence. Il se porte garant de ce que lui a rapporté l’unité de restauration, un processus distinct qui, lui, a vu les données',
    command:
      'une commande d’administrateur, avec la clé de l’agence. Elle se porte garante de ce que lui a rapporté son unité de restauration, un processus distinct',
  },
  offsite: 'hors du site de la boutique',
  vaultTypes: { s3: 'stockage objet', filesystem: 'dossier' },
  bucket: 'compartiment',
  calendars: { '24x7': ', à toute heure', business: ', en heures ouvrées' },
  timesNote: 'Toutes les heures de cette page sont en temps universel coordonné (UTC).',
  into: {
    own: 'un serveur de base de données démarré pour cet exercice, et un dossier vide',
    configured: 'une base de données créée pour cet exercice, et un dossier vide',
    files: 'un dossier vide',
  },
  restored: 'Ce qui a été restauré',
  columns: {
    ...{ source: 'Source', snapshot: 'Sauvegarde', asOf: 'État du', age: 'Âge', volume: 'Volume', content: 'Contenu', took: 'Durée' },
    ...{ check: 'Contrôle', result: 'Résultat', found: 'Constat', phase: 'Phase', object: 'Objet', version: 'Version', bytes: 'Octets' },
    ...{ sha256: 'SHA-256 des octets stockés', state: 'État' },
  },
  sources: { database: 'base de données', files: 'fichiers', server: 'machine entière' },
  whole: 'boutique',
  notRestored: 'non restauré',
  tables: (tables, rows) => `${tables} tables, ${rows} lignes`,
  files: (files) => `${files} fichiers`,
  checks: 'Ce qui a été contrôlé',
  checkNames: {
    restore: 'restauré, et conforme au manifeste',
    tables: 'tables',
    rows: 'lignes',
    files: 'fichiers',
    version: 'version de la boutique',
    products: 'produits',
    orders: 'dernière commande',
    images: 'images des produits',
    rto: 'délai promis',
  },
  ok: 'conforme',
  red: 'NON CONFORME',
  unknown: 'non contrôlé',
  rto: 'Délai',
  rtoKept: (took, target) => `La restauration a duré ${took}. Le contrat promet ${target}\u00a0: tenu.`,
  rtoBroken: (took, target) => `La restauration a duré ${took}. Le contrat promet ${target}\u00a0: NON tenu.`,
  rtoUnknown: 'Tout n’a pas été restauré\u00a0: la durée n’est pas connue.',
  rtoNote:
    'Sont comptées les restaurations de toutes les sources, l’une après l’autre, comparaison comprise\u202f; pas la préparation de l’espace temporaire.',
  phases: 'Durée par phase',
  phaseNames: {
    ...{
      download: 'téléchargement',
      open: 'déchiffrement et décompression',
      write: 'écriture des fichiers',
      load: 'chargement des lignes',
    },
    ...{ keys: 'construction des index', check: 'lecture de l’index, comparaison', fixed: 'manifeste, définitions, clés étrangères' },
  },
  phasesNote: 'Les phases se chevauchent\u00a0: leur somme dépasse le temps écoulé.',
  objects: 'Objets lus',
  objectsNote: (count, bytes) =>
    `${count} objets, ${bytes}\u00a0: chacun a été lu en entier, et son empreinte est celle du manifeste signé.`,
  objectsBroken: (count, bytes) =>
    `${count} objets, ${bytes}, sont nommés par les manifestes signés qui ont pu être lus. Chaque objet restauré a été lu en entier et avait son empreinte.`,
  objectsLacking: (count, bytes, named, lacking) =>
    `Les manifestes signés nomment ${named} objets. ${count} d’entre eux, ${bytes}, ont été lus en entier et ont l’empreinte indiquée\u00a0: l’empreinte de la liste porte sur ceux-là. Les autres\u00a0– ${lacking}.`,
  objectStates: { read: 'lu', missing: 'absent', altered: 'altéré', 'not-read': 'non lu' },
  colon: '\u00a0:',
  found: (check, f) => FOUND_FR[check]?.(f) ?? null,
  said: (detail) => `le logiciel dit\u00a0: «\u00a0${detail}\u00a0»`,
  digest: 'Empreinte de la liste',
  verify: 'Comment vérifier ce document',
  verifySteps: [
    'Le bloc en fin de page est ce qui a été signé. L’enregistrer, depuis cette page ou en prenant le fichier evidence.json qui l’accompagne, puis\u00a0:',
    EN.verifySteps[1] as string,
    'La clé doit être celle de l’agence. Son empreinte, qui figure sur le kit de secours de l’agence, s’obtient par\u00a0:',
    EN.verifySteps[3] as string,
    'L’empreinte de la liste des objets\u00a0:',
    EN.verifySteps[5] as string,
    'Chaque objet peut être demandé à l’espace de stockage, par sa clé et sa version, avec n’importe quel client\u202f; sha256sum en donne l’empreinte listée. Qui détient une identité de la boutique l’ouvre\u00a0: age -d -i identité objet | zstd -d.',
  ],
  verifyLast: 'Avec coffre sous la main\u00a0: coffre drill verify evidence.json --fingerprint',
  fingerprint: 'Empreinte de la clé de signature',
  signature: 'Signature',
  detailsNote: 'Ce qui a été signé, en entier',
};

export const PAGE_WORDS: Readonly<Record<Language, PageWords>> = { fr: FR, en: EN };
