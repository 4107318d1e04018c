// Reminders of a shop's end, to its owner in their language and to the operators: what goes when, and that the data can be had before. Pure.
import type { ShopLife } from '../catalog/shop-life.ts';
import { type Language, momentIn } from '../document/wording.ts';
import { lifeEnd } from '../retention/policy.ts';

const DAY_MS = 86_400_000;
/** Before the end. A suspension ends in an erasure too. */
export const REMIND_DAYS = [30, 14, 7, 1] as const;
/** A reminder that nobody could be sent for this long is old news: the next one says the same. Less than sent messages are kept for. */
const TOLD_WITHIN_MS = 20 * DAY_MS;

export interface LifeNotice {
  /** The same for as long as it is the same reminder of the same end. */
  readonly id: string;
  readonly shop: string;
  readonly state: 'closing' | 'suspended';
  /** How many days before the end it was due; null: when it was ordered. */
  readonly days: number | null;
  /** Epoch milliseconds. */
  readonly since: number;
  readonly endsAt: number;
}

/** The newest reminder that is due of a shop that ends; null: none is, or it is old news. What was due before the order is not made up for. */
export function lifeNotice(shop: string, life: ShopLife, nowMs: number): LifeNotice | null {
  const { since, state } = life;
  if (state !== 'closing' && state !== 'suspended') return null;
  const endsAt = lifeEnd(life);
  if (endsAt === null || nowMs >= endsAt || nowMs < since) return null;
  const due = [
    { days: null, at: since },
    ...REMIND_DAYS.map((days) => ({ days, at: endsAt - days * DAY_MS })).filter(({ at }) => at > since),
  ];
  const last = due.filter(({ at }) => at <= nowMs).at(-1);
  if (last === undefined || nowMs - last.at > TOLD_WITHIN_MS) return null;
  return { id: `life-${shop}-${endsAt}-${last.days ?? 'ordered'}`, shop, state, days: last.days, since, endsAt };
}

interface Letter {
  readonly subject: string;
  readonly text: string;
}

interface LetterContext {
  readonly name: string | null;
  readonly host: string;
  readonly timezone: string;
}

const COLON = '\u00a0:';

export function clientLetter(notice: LifeNotice, language: Language, context: LetterContext): Letter {
  return language === 'fr' ? french(notice, context) : english(notice, context);
}

function french({ days, endsAt, shop, since, state }: LifeNotice, { host, name, timezone }: LetterContext): Letter {
  const end = momentIn('fr', endsAt, timezone);
  const left = days === null ? null : days === 1 ? 'il reste un jour' : `il reste ${days} jours`;
  const isClosing = state === 'closing';
  const lines = [
    name === null ? 'Bonjour,' : `Bonjour ${name},`,
    '',
    ...(isClosing
      ? [`Les sauvegardes de votre boutique ${shop} prendront fin le ${end} (${timezone})${left === null ? '' : `${COLON} ${left}`}.`]
      : [
          `Les sauvegardes de votre boutique ${shop} sont suspendues depuis le ${momentIn('fr', since, timezone)}${COLON} plus aucune nouvelle sauvegarde n’est faite.`,
          `Les dernières sauvegardes valides sont conservées jusqu’au ${end} (${timezone})${left === null ? '' : `${COLON} ${left}`}.`,
        ]),
    'Au-delà de cette date, toutes les sauvegardes existantes seront effacées définitivement, au fur et à mesure que leurs verrous expirent.',
    '',
    `D’ici là, vous pouvez récupérer l’ensemble de vos données (fichiers et base de données) dans une archive lisible sans coffre. Demandez-la aux personnes qui gèrent vos sauvegardes ou, avec votre jeton d’accès${COLON}`,
    `  coffre --url ADRESSE --token-file FICHIER export ${shop} --to ${shop}.tar`,
    ...(isClosing ? [] : ['', 'Pour que les sauvegardes reprennent, adressez-vous aux personnes qui les gèrent.']),
    '',
    `Ce message est envoyé automatiquement par coffre (${host}).`,
  ];
  const subject = isClosing
    ? `${shop}${COLON} fin des sauvegardes le ${end}`
    : `${shop}${COLON} sauvegardes suspendues, effacement à partir du ${end}`;
  return { subject, text: `${lines.join('\n')}\n` };
}

function english({ days, endsAt, shop, since, state }: LifeNotice, { host, name, timezone }: LetterContext): Letter {
  const end = momentIn('en', endsAt, timezone);
  const left = days === null ? null : days === 1 ? 'one day is left' : `${days} days are left`;
  const isClosing = state === 'closing';
  const lines = [
    name === null ? 'Hello,' : `Dear ${name},`,
    '',
    ...(isClosing
      ? [`The backups of your shop ${shop} end on ${end} (${timezone})${left === null ? '' : `: ${left}`}.`]
      : [
          `The backups of your shop ${shop} are suspended since ${momentIn('en', since, timezone)}: no new ones are made.`,
          `The last good backups are kept until ${end} (${timezone})${left === null ? '' : `: ${left}`}.`,
        ]),
    'After that all backups are deleted for good, as their locks end.',
    '',
    'Until then you can have all your data (files and database) in an archive that can be read without coffre. Ask the people who look after your backups for it or, with your token:',
    `  coffre --url ADDRESS --token-file FILE export ${shop} --to ${shop}.tar`,
    ...(isClosing ? [] : ['', 'For the backups to go on, ask the people who look after them.']),
    '',
    `This message was sent by coffre (${host}).`,
  ];
  return {
    subject: isClosing ? `${shop}: backups end on ${end}` : `${shop}: backups suspended, deleted from ${end} on`,
    text: `${lines.join('\n')}\n`,
  };
}

export function operatorLetter(
  { days, endsAt, shop, state }: LifeNotice,
  isTold: boolean,
  { host, timezone }: Omit<LetterContext, 'name'>,
): Letter {
  const end = momentIn('en', endsAt, timezone);
  const left = days === null ? 'it was ordered now' : days === 1 ? '1 day left' : `${days} days left`;
  const what = state === 'closing' ? `${shop} closes at ${end}` : `${shop} is suspended, and what is kept of it goes from ${end} on`;
  const lines = [
    `${what} (${timezone}): ${left}.`,
    `Its data can be had before: coffre export ${shop} --to ${shop}.tar`,
    `To call it off: coffre shop resume ${shop} --reason TEXT`,
    isTold ? 'Its contact was written to as well.' : 'It has no contact, or no mail is configured: nobody told its owner.',
  ];
  return { subject: `coffre on ${host}: ${what}: ${left}`, text: `${lines.join('\n')}\n` };
}
