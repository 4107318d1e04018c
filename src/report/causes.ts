// Why something failed, as a client reads it, in French and English: what it was about, and nothing of paths, hosts and people. Pure.

import type { Language } from '../document/wording.ts';
import { ERRORS, type ErrorCode } from '../errors.ts';

type Words = readonly [french: string, english: string];

const DATABASE: Words = ['la base de données de la boutique ne répondait pas', 'the shop’s database did not answer'];
const NO_LOGIN: Words = ['l’accès à la base de données a été refusé', 'access to the database was refused'];
const STORAGE: Words = ['l’espace de stockage ne répondait pas', 'the storage did not answer'];
const NO_STORAGE: Words = ['l’espace de stockage a refusé l’accès', 'the storage refused access'];
const NO_LOCK: Words = [
  'la protection contre l’effacement n’a pas pu être confirmée',
  'the protection against deletion could not be confirmed',
];
const CLOCK: Words = ['une horloge n’était pas fiable', 'a clock was not certain'];
const UNREADABLE: Words = ['une sauvegarde n’a pas pu être relue', 'a backup could not be read back'];
const ALTERED: Words = ['une sauvegarde n’était plus telle qu’enregistrée', 'a backup was not as it had been stored'];
const NO_ROOM: Words = ['la place manquait', 'there was no room for it'];
const CUT_OFF: Words = ['l’opération a été interrompue', 'it was cut off before its end'];
const CHECKS: Words = ['la boutique restaurée n’a pas passé tous les contrôles', 'the restored shop did not pass all checks'];
const SYSTEM: Words = ['un défaut du système de sauvegarde', 'a fault of the backup system'];

/** Where a code says more than its class does. */
const OF_CODE: Partial<Readonly<Record<ErrorCode, Words>>> = {
  ...{ E_DB_CONNECT: DATABASE, E_DB_BUSY: ['la base de données était trop occupée', 'the database was too busy'] },
  ...{ E_DB_AUTH: NO_LOGIN, E_DB_PRIVILEGE: NO_LOGIN },
  E_DB_CHANGED: ['une table a été modifiée pendant la sauvegarde', 'a table was changed during the backup'],
  E_DB_READ: ['la base de données n’a pas pu être lue', 'the database could not be read'],
  ...Object.fromEntries(
    (['E_FILES_READ', 'E_FILES_ROOT', 'E_FILES_STUCK'] as const).map((code) => [
      ...[code, ['les fichiers de la boutique n’ont pas pu être lus', 'the shop’s files could not be read']],
    ]),
  ),
  ...{ E_VAULT_AUTH: NO_STORAGE, E_VAULT_DENIED: NO_STORAGE, E_BUCKET_MISSING: NO_STORAGE },
  E_VAULT_IO: ['une lecture ou une écriture a échoué dans l’espace de stockage', 'reading or writing failed in the storage'],
  E_VAULT_SPACE: ['l’espace de stockage était plein', 'the storage was full'],
  ...{ E_CLOCK_JUMP: CLOCK, E_CLOCK_SKEW: CLOCK },
  ...{
    E_OBJECT_ALTERED: ALTERED,
    E_OBJECT_MISSING: ['une sauvegarde manquait dans l’espace de stockage', 'a backup was missing in the storage'],
  },
  ...{ E_INCIDENT: ['une anomalie a été trouvée dans l’espace de stockage', 'something in the storage was not as it should be'] },
  E_VERSION_FOREIGN: ['un contenu étranger a été trouvé dans l’espace de stockage', 'foreign content was found in the storage'],
  E_DRILL_COUNTS: ['le contenu restauré n’était pas complet', 'what was restored was not complete'],
  E_LOAD_MISMATCH: ['les données n’ont pas été rechargées exactement', 'the data were not loaded exactly'],
  E_DRILL_SLOW: ['plus long que le délai promis', 'slower than promised'],
  ...{ E_DRILL_SPACE: NO_ROOM, E_TARGET_SPACE: NO_ROOM, E_STATE_SPACE: NO_ROOM },
  E_TARGET_WRITE: ['les données restaurées n’ont pas pu être écrites', 'the restored data could not be written'],
  E_CANCELLED: ['l’opération a été annulée', 'it was cancelled'],
  E_DEADLINE: ['la durée maximale a été dépassée', 'it took longer than it may'],
  ...{ E_INTERRUPTED: CUT_OFF, E_RUN_HUNG: CUT_OFF, E_DAEMON_LOST: CUT_OFF },
  E_RED: ['un contrôle a trouvé une anomalie', 'a check found something wrong'],
  E_CHECKPOINT: ['l’état du système n’a pas pu être enregistré partout', 'the system’s state could not be stored everywhere'],
};

/** By the exit status: the class of an error. */
const OF_CLASS: Readonly<Record<number, Words>> = {
  2: ['un réglage du système de sauvegarde était à corriger', 'a setting of the backup system had to be corrected'],
  3: ['le serveur de la boutique ne répondait pas', 'the shop’s server did not answer'],
  4: STORAGE,
  5: NO_LOCK,
  6: UNREADABLE,
  7: ['une autre opération était en cours', 'something else was under way'],
  8: ['une partie des données n’a pas pu être lue', 'some of the data could not be read'],
  9: ['un des espaces de stockage prévus manquait', 'one of the planned storages was missing'],
  10: ['la restauration n’a pas pu être menée à bien', 'the restore could not be carried through'],
  12: ['l’état de la boutique ne le permettait pas', 'the shop’s state did not allow it'],
  15: CHECKS,
};

/** Of a code that this coffre does not know: a fault, and no more. */
export function causeIn(language: Language, code: string): string {
  const known = Object.hasOwn(ERRORS, code) ? (code as ErrorCode) : null;
  const [french, english] = known === null ? SYSTEM : (OF_CODE[known] ?? OF_CLASS[ERRORS[known].exit] ?? SYSTEM);
  return language === 'fr' ? french : english;
}
