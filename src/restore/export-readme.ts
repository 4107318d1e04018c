// The texts inside an export, in French and English: what is in it, and how it is unpacked with nothing but standard tools. Pure.

export interface ReadmeFacts {
  readonly shop: string;
  /** RFC 3339 in UTC, when the export was made. */
  readonly madeAt: string;
  readonly compressed: boolean;
  /** Null: the shop has none, or none was wanted. `asOf`: RFC 3339 in UTC. */
  readonly files: { readonly snapshot: string; readonly asOf: string; readonly count: number } | null;
  readonly database: {
    readonly snapshot: string;
    readonly asOf: string;
    readonly tables: number;
    readonly rows: number;
    /** Of the server that it comes from, as it says it; null: not known. */
    readonly server: string | null;
  } | null;
  /** The snapshots were taken with something missing. */
  readonly incomplete: boolean;
}

/** `2026-11-23 14:05:00 UTC`: the archive goes to people of any place. */
const utc = (instant: string): string => instant.replace('T', ' ').replace(/Z$/, ' UTC');
/** `23/11/2026 à 14:05:00 UTC`. */
const utcFr = (instant: string): string => instant.replace(/^(\d+)-(\d+)-(\d+)T(.*)Z$/, '$3/$2/$1 à $4 UTC');

export const README_NAMES = { fr: 'LISEZMOI.txt', en: 'README.txt' } as const;

/** Before punctuation that a French text parts from its word. */
const NNBSP = '\u202f';
const NBSP = '\u00a0';

const grouped = (count: number, separator: string): string => String(count).replace(/\B(?=(\d{3})+$)/g, separator);

export function readmeFr({ shop, madeAt, compressed, files, database, incomplete }: ReadmeFacts): string {
  const count = (number: number): string => grouped(number, NNBSP);
  const lines = [
    `Export de la boutique «${NBSP}${shop}${NBSP}»`,
    `Fait le ${utcFr(madeAt)} par coffre.`,
    '',
    'Cette archive contient tout ce qu’il faut pour remettre la boutique en service chez un autre hébergeur. Aucun logiciel particulier n’est',
    `nécessaire${NNBSP}: tar${compressed ? ', zstd' : ''}, sha256sum et le client mariadb suffisent.`,
    '',
    'CONTENU',
    ...(files
      ? [
          `  files/          les fichiers de la boutique, ${count(files.count)} fichiers et liens, état du ${utcFr(files.asOf)}`,
          `                  (sauvegarde ${files.snapshot})`,
        ]
      : []),
    ...(database
      ? [
          `  database.sql    la base de données, ${count(database.tables)} tables, ${count(database.rows)} lignes, état du ${utcFr(database.asOf)}`,
          `                  (sauvegarde ${database.snapshot}${database.server ? `${NNBSP}; serveur d’origine${NNBSP}: ${database.server}` : ''})`,
        ]
      : []),
    '  SHA256SUMS      les empreintes de chaque fichier de cette archive',
    '',
    ...(incomplete
      ? [`ATTENTION${NNBSP}: au moment de la sauvegarde, certains éléments n’ont pas pu être lus. Il en manque donc ici.`, '']
      : []),
    'MODE D’EMPLOI',
    `1. Déballer, dans un dossier vide${NNBSP}:`,
    `     ${compressed ? 'zstd -dc EXPORT.tar.zst | tar -x' : 'tar -xf EXPORT.tar'}`,
    `2. Vérifier que rien n’est abîmé (aucune ligne ne doit s’afficher)${NNBSP}:`,
    '     sha256sum --quiet -c SHA256SUMS',
    ...(database
      ? [
          `3. Charger la base dans une base vide, en utf8mb4 de préférence (MariaDB 10.6 ou plus récent)${NNBSP}:`,
          '     mariadb -e "CREATE DATABASE boutique CHARACTER SET utf8mb4"',
          '     mariadb --binary-mode --comments --max-allowed-packet=1G boutique < database.sql',
          '   Les options --binary-mode et --comments gardent les textes et les procédures tels quels. Les vues, procédures,',
          '   déclencheurs et événements appartiendront au compte qui les charge.',
        ]
      : []),
    ...(files
      ? [
          `${database ? 4 : 3}. Copier le contenu de files/ dans la racine du site, et donner ces fichiers au compte du serveur web (chown -R).`,
          `   Pour PrestaShop 1.7 et suivants, l’accès à la base est dans app/config/parameters.php${NNBSP}; pour la version 1.6, dans`,
          '   config/settings.inc.php. Gardez les clés (cookie_key, secret) telles quelles, sans quoi les anciens mots de passe ne',
          '   fonctionnent plus. Videz ensuite var/cache, et corrigez l’adresse dans les tables shop_url et configuration si elle change.',
          '   Les droits setuid et setgid et les fichiers de périphériques n’ont pas été repris.',
        ]
      : []),
    '',
    'CONFIDENTIALITÉ',
    `  Cette archive n’est pas chiffrée. Elle contient des données personnelles et des mots de passe${NNBSP}: conservez-la en lieu sûr et`,
    '  effacez-la quand vous n’en avez plus besoin.',
  ];
  return `${lines.join('\n')}\n`;
}

export function readmeEn({ shop, madeAt, compressed, files, database, incomplete }: ReadmeFacts): string {
  const count = (number: number): string => grouped(number, ',');
  const lines = [
    `Export of the shop “${shop}”`,
    `Made at ${utc(madeAt)} by coffre.`,
    '',
    'This archive holds everything that is needed to run the shop at another hoster. No special software is needed:',
    `tar, ${compressed ? 'zstd, ' : ''}sha256sum and the mariadb client are enough.`,
    '',
    'CONTENTS',
    ...(files
      ? [
          `  files/          the shop’s files, ${count(files.count)} files and links, as of ${utc(files.asOf)}`,
          `                  (snapshot ${files.snapshot})`,
        ]
      : []),
    ...(database
      ? [
          `  database.sql    the database, ${count(database.tables)} tables, ${count(database.rows)} rows, as of ${utc(database.asOf)}`,
          `                  (snapshot ${database.snapshot}${database.server ? `; it comes from ${database.server}` : ''})`,
        ]
      : []),
    '  SHA256SUMS      checksums of each file of this archive',
    '',
    ...(incomplete ? ['NOTE: something could not be read when the snapshot was taken, and is missing here.', ''] : []),
    'HOW TO USE IT',
    '1. Unpack, in an empty directory:',
    `     ${compressed ? 'zstd -dc EXPORT.tar.zst | tar -x' : 'tar -xf EXPORT.tar'}`,
    '2. Check that nothing is damaged (no line should be printed):',
    '     sha256sum --quiet -c SHA256SUMS',
    ...(database
      ? [
          '3. Load the database into an empty one, in utf8mb4 if you can (MariaDB 10.6 or newer):',
          '     mariadb -e "CREATE DATABASE shop CHARACTER SET utf8mb4"',
          '     mariadb --binary-mode --comments --max-allowed-packet=1G shop < database.sql',
          '   --binary-mode and --comments keep texts and procedures exactly as they are. Views, procedures, triggers and events will',
          '   belong to the account that loads them.',
        ]
      : []),
    ...(files
      ? [
          `${database ? 4 : 3}. Copy what is in files/ into the site’s root, and give these files to the web server’s account (chown -R).`,
          '   PrestaShop 1.7 and newer have the database’s address and password in app/config/parameters.php, 1.6 in',
          '   config/settings.inc.php. Keep the keys (cookie_key, secret) as they are, or old passwords stop working. Then empty var/cache,',
          '   and correct the address in the tables shop_url and configuration if it changes.',
          '   Setuid and setgid bits and device files were left out.',
        ]
      : []),
    '',
    'CONFIDENTIALITY',
    '  This archive is not encrypted. It holds personal data and passwords: keep it in a safe place, and delete it when you need it no more.',
  ];
  return `${lines.join('\n')}\n`;
}
