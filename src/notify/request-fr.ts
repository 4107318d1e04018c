// Notices about a restore request in French, for the shop's owner.
import type { RequestEventRow } from '../catalog/requests.ts';
import { durationIn, instantIn, type RequestFacts, type Written } from './request-facts.ts';

/** Spaces that French puts before its double signs. */
const COLON = '\u00a0:';
const SEMICOLON = '\u202f;';

const when = (atMs: number, { zone }: RequestFacts): string => instantIn('fr', atMs, zone);

export function writeFrench(verb: RequestEventRow['verb'], facts: RequestFacts): Written {
  const { subject, lines } = told(verb, facts);
  const greeting = facts.name === null ? 'Bonjour,' : `Bonjour ${facts.name},`;
  const text = [
    greeting,
    '',
    ...lines,
    '',
    `Demande${COLON} ${facts.id}`,
    '',
    `Ce message est envoyé automatiquement par coffre (${facts.host}).`,
  ];
  return { subject: `${facts.shop}${COLON} ${subject}`, text: `${text.join('\n')}\n` };
}

function told(verb: RequestEventRow['verb'], facts: RequestFacts): { readonly subject: string; readonly lines: readonly string[] } {
  const { shop } = facts;
  switch (verb) {
    case 'request':
      return {
        subject: 'restauration demandée, votre accord est attendu',
        lines: [
          facts.askedBy === 'client'
            ? `Vous avez demandé la restauration de votre boutique ${shop}.`
            : `La restauration de votre boutique ${shop} a été préparée par les personnes qui gèrent vos sauvegardes.`,
          '',
          ...contents(facts, true),
          '',
          `Rien ne commence sans votre accord. Pour le donner${COLON}`,
          `  coffre request approve ${facts.id}`,
          `Pour renoncer${COLON}`,
          `  coffre request cancel ${facts.id}`,
        ],
      };
    case 'approve':
      return {
        subject: 'restauration validée',
        lines: [
          facts.doneBy === 'client'
            ? `Votre accord pour la restauration de votre boutique ${shop} est enregistré.`
            : `La restauration de votre boutique ${shop} a été validée en votre nom par les personnes qui gèrent vos sauvegardes.`,
          ...reason(facts),
          ...deadline(facts),
          '',
          ...contents(facts),
          '',
          'Pendant la restauration, votre boutique affiche sa page de maintenance. Une copie de son état actuel est faite auparavant.',
        ],
      };
    case 'hold':
      return {
        subject: 'restauration mise en attente',
        lines: [
          `La restauration de votre boutique ${shop} est mise en attente par les personnes qui gèrent vos sauvegardes.`,
          ...reason(facts),
          ...(facts.isApproved
            ? [`Le délai qui vous est garanti continue de courir${SEMICOLON} il n’est pas suspendu.`, ...deadline(facts)]
            : []),
        ],
      };
    case 'release':
      return {
        subject: 'fin de la mise en attente',
        lines: facts.isApproved
          ? [`La restauration de votre boutique ${shop} n’est plus en attente${SEMICOLON} elle va commencer.`, ...deadline(facts)]
          : [
              `La restauration de votre boutique ${shop} n’est plus en attente. Elle attend votre accord${COLON}`,
              `  coffre request approve ${facts.id}`,
            ],
      };
    case 'refuse':
      return {
        subject: 'restauration refusée',
        lines: [
          `La restauration de votre boutique ${shop} est refusée par les personnes qui gèrent vos sauvegardes.`,
          ...reason(facts),
          ...(facts.wasBegun ? [] : ['Votre boutique n’a pas été modifiée.']),
        ],
      };
    case 'cancel':
      return {
        subject: 'restauration annulée',
        lines: [
          facts.doneBy === 'client'
            ? `Vous avez annulé la restauration de votre boutique ${shop}.`
            : facts.doneBy === 'daemon'
              ? `La restauration de votre boutique ${shop} est annulée${COLON} personne ne l’a validée depuis deux semaines.`
              : `La restauration de votre boutique ${shop} est annulée par les personnes qui gèrent vos sauvegardes.`,
          ...(facts.doneBy === 'operator' ? reason(facts) : []),
          ...(facts.wasBegun ? [] : ['Votre boutique n’a pas été modifiée.']),
        ],
      };
    case 'retry':
      return {
        subject: 'nouvelle tentative de restauration',
        lines: [`La restauration de votre boutique ${shop} va être tentée de nouveau.`, ...deadline(facts)],
      };
    case 'start':
      return {
        subject: 'restauration commencée',
        lines: [`La restauration de votre boutique ${shop} a commencé.`, ...deadline(facts)],
      };
    case 'verify':
      return {
        subject: 'vérification de la boutique restaurée',
        lines: [`Les données de votre boutique ${shop} sont restaurées. Elle est vérifiée avant d’être rouverte.`, ...deadline(facts)],
      };
    case 'finish':
      return {
        subject: facts.outcome === 'broken' ? 'boutique restaurée, hors délai' : 'boutique restaurée',
        lines: [
          `Votre boutique ${shop} est restaurée et rouverte${facts.endedAt === null ? '' : ` depuis le ${when(facts.endedAt, facts)}`}.`,
          ...verdict(facts),
          '',
          ...contents(facts),
        ],
      };
    case 'fail':
      return {
        subject: 'échec de la restauration',
        lines: [
          `La restauration de votre boutique ${shop} n’a pas abouti. Les personnes qui gèrent vos sauvegardes sont prévenues et s’en occupent.`,
          facts.isClosed === null
            ? `Il est possible que votre boutique affiche encore sa page de maintenance${SEMICOLON} c’est en cours de vérification.`
            : facts.isClosed
              ? 'Votre boutique garde sa page de maintenance jusque-là.'
              : 'Votre boutique est restée comme elle était, et ouverte.',
          ...deadline(facts),
        ],
      };
    case 'rollback':
      return {
        subject: 'restauration défaite, boutique remise en l’état',
        lines: [
          `La restauration de votre boutique ${shop} a été défaite par les personnes qui gèrent vos sauvegardes. La boutique est dans l’état où elle était avant la restauration, et ouverte.`,
          `Cette demande est close${SEMICOLON} vous pouvez en faire une autre.`,
        ],
      };
    case 'late':
      return {
        subject: 'délai de restauration dépassé',
        lines: [
          `Le délai garanti pour la restauration de votre boutique ${shop} est dépassé, et elle n’est pas terminée.`,
          ...deadline(facts),
          'Les personnes qui gèrent vos sauvegardes sont prévenues.',
        ],
      };
  }
}

const SOURCES = { database: 'base de données', files: 'fichiers' } as const;

/** `wouldBe`: nobody has agreed to it yet. */
function contents(facts: RequestFacts, wouldBe = false): string[] {
  const is = wouldBe ? 'serait' : 'est';
  const title = `Ce qui ${is} restauré${facts.isPart ? ', en partie seulement' : ''}${COLON}`;
  const sources = facts.sources.map(({ asOf, source }) => `- ${SOURCES[source]}${COLON} état du ${when(asOf, facts)}`);
  return [title, ...sources, `Ce qui a été modifié depuis (commandes, clients, fichiers) ${is} perdu.`];
}

/** Quoted: whoever gave it wrote it in a language of his own. */
const reason = ({ reason: said }: RequestFacts): string[] => (said === null ? [] : [`Motif indiqué${COLON} «\u00a0${said}\u00a0»`]);

const deadline = (facts: RequestFacts): string[] =>
  facts.deadline === null ? [] : [`Délai garanti${COLON} au plus tard le ${when(facts.deadline, facts)}.`];

function verdict({ leftMs, outcome }: RequestFacts): string[] {
  if (outcome === null || leftMs === null) return [];
  if (outcome === 'kept') return [`Le délai garanti est tenu, avec ${durationIn('fr', leftMs)} d’avance.`];
  return [`Le délai garanti est dépassé de ${durationIn('fr', leftMs)}.`];
}
