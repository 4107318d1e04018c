// Statements in French and English: words, and how numbers, money, days and instants are written.
import { Temporal } from 'temporal-polyfill';
import { dayIn, type Language } from '../document/wording.ts';
import { type Months, monthsBetween } from './period.ts';
import type { Statement } from './statement-schema.ts';

const FRENCH = {
  locale: 'fr-FR',
  statement: 'Relevé',
  correctionStatement: 'Relevé rectificatif',
  contract: 'Contrat',
  draft: 'Brouillon, non émis',
  provisional: 'Provisoire, période en cours',
  issued: 'Émis le',
  period: 'Période\u00a0:',
  from: 'du',
  to: 'au',
  use: 'Utilisation mesurée',
  measuredPeriod: 'Période mesurée',
  peak: 'Pic de stockage',
  peakAt: 'Atteint le',
  subscribedVolume: 'Volume souscrit',
  variableVolume: 'Utilisation variable',
  billedVolume: 'Volume facturé',
  steps: (step: string) => `par paliers entamés de ${step}`,
  lines: 'Détail',
  what: 'Désignation',
  days: 'Période',
  quantity: 'Volume (To)',
  months: 'Mois',
  unitPrice: 'Prix mensuel du To',
  amount: 'Montant HT',
  subscribed: 'Volume souscrit',
  variable: 'Utilisation variable',
  correction: (of: string) => `Rectification du relevé ${of}`,
  correctionFor: (shop: string) => `, boutique ${shop}`,
  net: 'Total HT',
  tax: (percent: string) => `TVA ${percent}\u202f%`,
  taxOn: (net: string) => ` sur ${net}`,
  total: 'Total TTC',
  index: 'Indexation du prix',
  indexLine: ({ anniversary, date }: { anniversary: string; date: string }) =>
    `à compter du ${anniversary}, indice en vigueur depuis le ${date}`,
  unknownIndex: (day: string) =>
    `L’indice applicable au ${day} n’est pas renseigné\u202f: le prix précédent est maintenu. Le relevé ne peut pas être émis en l’état.`,
  unmeasured: (day: string) =>
    `Aucune mesure n’est disponible jusqu’au ${day}\u202f: l’utilisation variable n’est pas connue et n’est pas facturée.`,
  measuredFrom: (day: string) => `Les mesures commencent le ${day}\u202f: l’occupation antérieure n’est pas connue.`,
  notes: 'À noter',
  rebilling: 'Répartition entre les boutiques',
  by: {
    share: 'au prorata de l’occupation à l’instant du pic',
    peak: 'au prorata du pic propre à chaque boutique',
    flat: 'à parts égales',
  },
  byNothing: 'à parts égales, faute d’occupation mesurée',
  byCorrected: 'comme sur le relevé rectifié, ou à la boutique désignée par la rectification',
  shop: 'Boutique',
  shareBytes: 'Occupation au pic',
  peakBytes: 'Pic propre',
  unassigned: 'Non réparti',
  sum: 'Total réparti HT',
  rules:
    'Un téraoctet (To) vaut 10¹² octets. Toute période entamée est due. Un mois au cours duquel le prix change est compté au prorata des jours. Chaque montant est arrondi à la plus petite unité de la monnaie, une demi-unité comptant pour une entière.',
  notAnInvoice: 'Ce relevé détaille l’utilisation du stockage ; il ne constitue pas une facture.'.replace(' ;', '\u202f;'),
  seal: 'Empreinte du relevé',
  previous: 'Empreinte du relevé précédent',
  firstOfAll: 'premier relevé',
  vault: 'Coffre',
  bytes: (count: number) => (count < 2 ? 'octet' : 'octets'),
  tb: 'To',
  zone: (zone: string) => `Heures\u00a0: ${zone}`,
  at: 'à',
} as const;

type Words = {
  readonly [K in keyof typeof FRENCH]: (typeof FRENCH)[K] extends string
    ? string
    : (typeof FRENCH)[K] extends (...args: infer A) => string
      ? (...args: A) => string
      : Readonly<Record<'share' | 'peak' | 'flat', string>>;
};

const ENGLISH: Words = {
  locale: 'en-GB',
  statement: 'Statement',
  correctionStatement: 'Statement of corrections',
  contract: 'Contract',
  draft: 'Draft, not issued',
  provisional: 'Provisional, the period is not over',
  issued: 'Issued on',
  period: 'Period:',
  from: '',
  to: 'to',
  use: 'Use as measured',
  measuredPeriod: 'Period measured',
  peak: 'Peak of storage',
  peakAt: 'Reached on',
  subscribedVolume: 'Subscribed volume',
  variableVolume: 'Variable use',
  billedVolume: 'Billed volume',
  steps: (step) => `by started steps of ${step}`,
  lines: 'Lines',
  what: 'What',
  days: 'Period',
  quantity: 'Volume (TB)',
  months: 'Months',
  unitPrice: 'Price per TB-month',
  amount: 'Before tax',
  subscribed: 'Subscribed volume',
  variable: 'Variable use',
  correction: (of) => `Correction of statement ${of}`,
  correctionFor: (shop) => `, shop ${shop}`,
  net: 'Total before tax',
  tax: (percent) => `Tax ${percent}%`,
  taxOn: (net) => ` on ${net}`,
  total: 'Total with tax',
  index: 'Indexation of the price',
  indexLine: ({ anniversary, date }) => `from ${anniversary} on, by the index in force since ${date}`,
  unknownIndex: (day) =>
    `The index that applies on ${day} is not known: the price before goes on. The statement cannot be issued as it is.`,
  unmeasured: (day) => `Nothing was measured through ${day}: variable use is not known and not billed.`,
  measuredFrom: (day) => `Measured from ${day} on: what was held before is not known.`,
  notes: 'Notes',
  rebilling: 'Divided among the shops',
  by: { share: 'by what each held at the instant of the peak', peak: 'by each shop’s own peak', flat: 'in equal parts' },
  byNothing: 'in equal parts, since nothing was measured',
  byCorrected: 'as the corrected statement was divided, or to the shop that the correction names',
  shop: 'Shop',
  shareBytes: 'Held at the peak',
  peakBytes: 'Own peak',
  unassigned: 'Of no shop',
  sum: 'Total of the parts before tax',
  rules:
    'A terabyte (TB) is 10¹² bytes. A started period is due. A month in which the price changes counts by its days. Each amount is rounded to the smallest unit of the currency, halves away from zero.',
  notAnInvoice: 'This statement accounts for the use of storage; it is not an invoice.',
  seal: 'Hash of this statement',
  previous: 'Hash of the statement before it',
  firstOfAll: 'first statement',
  vault: 'Vault',
  bytes: (count) => (count === 1 ? 'byte' : 'bytes'),
  tb: 'TB',
  zone: (zone) => `Times: ${zone}`,
  at: 'at',
};

export const wordsOf = (language: Language): Words => (language === 'fr' ? FRENCH : ENGLISH);

/** Exact: from decimal text, never through a double. */
function decimal(text: string, language: Language, options: Intl.NumberFormatOptions = {}): string {
  const places = text.split('.')[1]?.length ?? 0;
  const format = new Intl.NumberFormat(wordsOf(language).locale, {
    minimumFractionDigits: places,
    maximumFractionDigits: places,
    ...options,
  });
  // a hyphen is no minus sign, and a line may break after it
  return format.format(text as Intl.StringNumericLiteral).replace('-', '\u2212');
}

export const number = (text: string, language: Language): string => decimal(text, language);

/** `1 234,56 €`, `€1,234.56`; prices keep more decimals than amounts. */
export function money(text: string, currency: string, language: Language, leastDecimals = 2): string {
  const places = Math.max(leastDecimals, text.split('.')[1]?.length ?? 0);
  return decimal(text, language, { style: 'currency', currency, minimumFractionDigits: places, maximumFractionDigits: places });
}

/** `2,5 To`: all decimals that the bytes give. */
export function volume(bytes: number, language: Language): string {
  const whole = String(Math.trunc(bytes)).padStart(13, '0');
  const text = `${whole.slice(0, -12)}.${whole.slice(-12)}`.replace(/\.?0+$/, '');
  return `${number(text, language)}\u00a0${wordsOf(language).tb}`;
}

/** `1er avril 2026`, `1 April 2026`. */
export function day(text: string, language: Language): string {
  return dayIn(language, Temporal.PlainDate.from(text));
}

/** `1er avril 2026 à 04:00:00`, in the contract's zone. */
export function moment(text: string, timezone: string, language: Language): string {
  const there = Temporal.Instant.from(text).toZonedDateTimeISO(timezone);
  const time = there.toPlainTime().toString({ smallestUnit: 'second' });
  return `${day(there.toPlainDate().toString(), language)} ${wordsOf(language).at} ${time}`;
}

/** `2 + 1/30`. */
export function monthsText({ denominator, numerator }: Months): string {
  const whole = Math.floor(numerator / denominator);
  const rest = numerator % denominator;
  if (rest === 0) return String(whole);
  return `${whole === 0 ? '' : `${whole} + `}${rest}/${denominator}`;
}

/** A calendar month by its name, a whole year as that; else its days. */
export function periodText({ from, to }: Pick<NonNullable<Statement['period']>, 'from' | 'to'>, language: Language): string {
  const first = Temporal.PlainDate.from(from);
  const { denominator, numerator } = monthsBetween(from, to);
  if (denominator === 1 && numerator === 1) {
    const { locale } = wordsOf(language);
    return first.toLocaleString(locale, { month: 'long', year: 'numeric' });
  }
  if (denominator === 1 && numerator === 12 && first.month === 1) return String(first.year);
  const words = wordsOf(language);
  return `${words.from} ${day(from, language)} ${words.to} ${day(to, language)}`.trim();
}

/** Whether weights tell how it was divided: not equal parts, and something was measured. */
export const isWeighed = ({ by, shops }: NonNullable<Statement['rebilling']>): boolean =>
  by !== 'flat' && shops.some(({ weight }) => weight !== 0);
