// The certificate of a shop's end as a page for its owner: what was deleted, what is still locked and until when, and how to check the signature.
import { Temporal } from 'temporal-polyfill';
import { type Html, html, htmlPage } from '../document/html.ts';
import { bytesIn, dayEndingAt, dayIn, type Language, momentIn, shortMomentIn, wholeNumber } from '../document/wording.ts';
import type { Certificate, SignedCertificate } from '../retention/certificate.ts';
import { fingerprintOfRaw } from '../segment/signing-key.ts';
import { PAGE_STYLE, type Plain, table } from './page-parts.ts';

interface Words {
  readonly title: Readonly<Record<Certificate['kind'], string>>;
  readonly made: (when: string) => string;
  readonly zone: (zone: string) => string;
  readonly withdrawn: (when: string) => string;
  readonly order: string;
  readonly ordered: string;
  readonly by: string;
  readonly reason: string;
  readonly ends: string;
  readonly endOf: (day: string) => string;
  readonly final: (shop: string, when: string) => string;
  readonly nothingLonger: string;
  readonly remains: string;
  readonly remainsUntil: (when: string) => string;
  readonly deleted: string;
  readonly none: string;
  readonly foreign: string;
  readonly foreignNote: string;
  readonly holds: string;
  readonly holdsNote: string;
  readonly heads: Readonly<Record<'vault' | 'objects' | 'volume' | 'until', string>>;
  readonly unlocked: string;
  readonly signature: string;
  readonly check: string;
  readonly key: string;
  readonly value: string;
}

const WORDS: Readonly<Record<Language, Words>> = {
  fr: {
    title: { closing: 'Attestation de clôture', erasure: 'Attestation d’effacement' },
    made: (when) => `Établie le ${when}`,
    zone: (zone) => `Heures\u00a0: ${zone}.`,
    withdrawn: (when) =>
      `RETIRÉE\u00a0: l’ordre a été annulé et les sauvegardes de la boutique ont repris le ${when}. Voici ce que cette attestation indiquait alors.`,
    order: 'Ordre',
    ordered: 'Donné le',
    by: 'Par',
    reason: 'Motif',
    ends: 'Fin de conservation',
    endOf: (day) => `à la fin du ${day}`,
    final: (shop, when) =>
      `Le ${when}, plus rien de ce que le système de sauvegarde avait enregistré pour la boutique ${shop} ne subsistait dans aucun espace de stockage.`,
    nothingLonger: 'Aucun verrou ne dure au-delà de cette fin\u00a0: tout est effacé à ce moment-là.',
    remains: 'Encore conservé sous verrou',
    remainsUntil: (when) => `Chaque objet est effacé dès que son verrou est terminé\u202f; le dernier de ces verrous prend fin le ${when}.`,
    deleted: 'Effacé',
    none: 'Néant.',
    foreign: 'Contenus étrangers',
    foreignNote: 'Le système de sauvegarde n’a pas écrit ces contenus et ne les efface pas.',
    holds: 'Conservations légales',
    holdsNote: 'Ce qu’elles désignent est conservé au-delà de la fin, jusqu’à leur levée.',
    heads: { vault: 'Espace de stockage', objects: 'Objets', volume: 'Volume', until: 'Verrouillé jusqu’au' },
    unlocked: 'sans verrou, effacement en cours',
    signature: 'Signature',
    check:
      'Ce document reproduit une attestation signée (Ed25519). Avec le fichier certificate.json qui l’accompagne, la signature se vérifie ainsi\u00a0:',
    key: 'Empreinte de la clé de signature',
    value: 'Signature',
  },
  en: {
    title: { closing: 'Certificate of closing', erasure: 'Certificate of erasure' },
    made: (when) => `Made on ${when}`,
    zone: (zone) => `Times: ${zone}.`,
    withdrawn: (when) => `WITHDRAWN: the order was taken back, and the shop resumed on ${when}. This is what the certificate said then.`,
    order: 'Order',
    ordered: 'Given on',
    by: 'By',
    reason: 'Reason',
    ends: 'End of storage',
    endOf: (day) => `at the end of ${day}`,
    final: (shop, when) => `On ${when} nothing of what the backup system had stored for the shop ${shop} was left in any storage.`,
    nothingLonger: 'No lock lasts beyond that end: everything is deleted then.',
    remains: 'Still kept under lock',
    remainsUntil: (when) => `Each object is deleted as soon as its lock has ended; the last of these locks ends on ${when}.`,
    deleted: 'Deleted',
    none: 'None.',
    foreign: 'Foreign content',
    foreignNote: 'The backup system did not write these, and does not delete them.',
    holds: 'Legal holds',
    holdsNote: 'What they name is kept beyond the end, until they are released.',
    heads: { vault: 'Storage', objects: 'Objects', volume: 'Volume', until: 'Locked until' },
    unlocked: 'no lock, being deleted',
    signature: 'Signature',
    check: 'This page shows a signed certificate (Ed25519). With the file certificate.json that comes with it the signature is checked so:',
    key: 'Fingerprint of the signing key',
    value: 'Signature',
  },
};

/** For whoever has no coffre: jq, base64 and openssl. */
const CHECK = `jq -cSj .certificate certificate.json > signed
jq -r .signature.value certificate.json | base64 -d > signature
(printf 302a300506032b6570032100 | xxd -r -p; jq -r .signature.key certificate.json | base64 -d) > key.der
openssl pkeyutl -verify -rawin -pubin -keyform DER -inkey key.der -in signed -sigfile signature`;

const STYLE = `${PAGE_STYLE}
dl { display: grid; grid-template-columns: max-content 1fr; gap: 1mm 6mm; margin: 0; } dt { color: #555e68; } dd { margin: 0; }
.lead { font-size: 11.5pt; margin: 6mm 0; }
pre { font: 7.5pt/1.5 "Liberation Mono", Consolas, monospace; border: 1px solid #d5dae0; padding: 2mm 3mm; white-space: pre-wrap; overflow-wrap: anywhere; }
`;

export interface CertificateOptions {
  readonly language: Language;
  readonly timezone: string;
  /** Epoch milliseconds: since when the order is not in force any more; null: it is, or was carried out. */
  readonly withdrawnAt: number | null;
}

/** Whole, as HTML. Nothing is fetched, nothing is run. */
export function certificatePage({ certificate, signature }: SignedCertificate, options: CertificateOptions): string {
  const { language, timezone, withdrawnAt } = options;
  const words = WORDS[language];
  const { at, deleted, endsAt, final, foreign, holds, kind, orderedAt, orderedBy, reason, remains, remainsUntil, shop } = certificate;
  const ms = (text: string): number => Temporal.Instant.from(text).epochMilliseconds;
  const when = (text: string): string => momentIn(language, ms(text), timezone);
  const end = (text: string): string => {
    const day = dayEndingAt(ms(text), timezone);
    return day === null ? when(text) : words.endOf(dayIn(language, day));
  };
  const right = (text: string): Plain => ({ text, as: 'n' });
  const amounts = ({ bytes, objects, vault }: { vault: string; objects: number; bytes: number }): Plain[] => [
    ...[vault, right(wholeNumber(objects, language)), right(bytesIn(language, bytes))],
  ];
  const heads = [words.heads.vault, right(words.heads.objects), right(words.heads.volume)];
  const section = (title: string, body: Html): Html => html`<h2>${title}</h2>\n${body}\n`;
  const fact = (name: string, value: string | null): Html | null => (value === null ? null : html`<dt>${name}</dt><dd>${value}</dd>\n`);
  const body = html`<header>
<div><h1>${words.title[kind]}</h1><p><strong>${shop}</strong></p></div>
<div class="right"><p><strong>${words.made(when(at))}</strong></p></div>
</header>
${withdrawnAt === null ? null : html`<p class="note red">${words.withdrawn(momentIn(language, withdrawnAt, timezone))}</p>\n`}${
  final ? html`<p class="lead">${words.final(shop, when(at))}</p>\n` : null
}${section(
  words.order,
  html`<dl>${fact(words.ordered, when(orderedAt))}${fact(words.by, orderedBy)}${fact(words.reason, reason)}${fact(words.ends, endsAt === null ? null : end(endsAt))}</dl>`,
)}${section(words.deleted, deleted.length === 0 ? html`<p>${words.none}</p>` : table(heads, deleted.map(amounts)))}${
  final
    ? null
    : section(
        words.remains,
        remains.length === 0
          ? html`<p>${kind === 'closing' ? words.nothingLonger : words.none}</p>`
          : html`${remainsUntil === null ? null : html`<p>${words.remainsUntil(when(remainsUntil))}</p>\n`}${table(
              [...heads, words.heads.until],
              remains.map((row) => [
                ...amounts(row),
                row.until === null
                  ? words.unlocked
                  : {
                      text: shortMomentIn(language, ms(row.until), timezone),
                      ...(row.lockMode === null ? { as: 't' } : { code: row.lockMode }),
                    },
              ]),
            )}`,
      )
}${foreign.length === 0 ? null : section(words.foreign, html`<p>${words.foreignNote}</p>\n${table(heads, foreign.map(amounts))}`)}${
  holds.length === 0 ? null : section(words.holds, html`<p>${words.holdsNote}</p>\n<ul>${holds.map((said) => html`<li>${said}</li>`)}</ul>`)
}${section(
  words.signature,
  html`<p>${words.check}</p>
<pre>${CHECK}</pre>
<dl>${fact(words.key, fingerprintOfRaw(Buffer.from(signature.key, 'base64')))}<dt>${words.value}</dt><dd><code>${signature.value}</code></dd></dl>`,
)}<footer><p>${words.zone(timezone)}</p></footer>`;
  return htmlPage({ language, title: `${words.title[kind]} – ${shop}`, style: STYLE, body });
}
