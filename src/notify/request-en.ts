// Notices about a restore request in English, for the shop's owner.
import type { RequestEventRow } from '../catalog/requests.ts';
import { durationIn, instantIn, type RequestFacts, type Written } from './request-facts.ts';

const when = (atMs: number, { zone }: RequestFacts): string => instantIn('en', atMs, zone);

export function writeEnglish(verb: RequestEventRow['verb'], facts: RequestFacts): Written {
  const { subject, lines } = told(verb, facts);
  const greeting = facts.name === null ? 'Hello,' : `Hello ${facts.name},`;
  const text = [greeting, '', ...lines, '', `Request: ${facts.id}`, '', `This message was sent automatically by coffre (${facts.host}).`];
  return { subject: `${facts.shop}: ${subject}`, text: `${text.join('\n')}\n` };
}

function told(verb: RequestEventRow['verb'], facts: RequestFacts): { readonly subject: string; readonly lines: readonly string[] } {
  const { shop } = facts;
  switch (verb) {
    case 'request':
      return {
        subject: 'restore asked for, your approval is needed',
        lines: [
          facts.askedBy === 'client'
            ? `You asked for a restore of your shop ${shop}.`
            : `A restore of your shop ${shop} was prepared by those who look after its backups.`,
          '',
          ...contents(facts, true),
          '',
          'Nothing begins without your approval. To give it:',
          `  coffre request approve ${facts.id}`,
          'To call it off:',
          `  coffre request cancel ${facts.id}`,
        ],
      };
    case 'approve':
      return {
        subject: 'restore approved',
        lines: [
          facts.doneBy === 'client'
            ? `Your approval of the restore of your shop ${shop} was recorded.`
            : `The restore of your shop ${shop} was approved in your name by those who look after its backups.`,
          ...reason(facts),
          ...deadline(facts),
          '',
          ...contents(facts),
          '',
          'While it is restored, your shop shows its maintenance page. A copy of its present state is made first.',
        ],
      };
    case 'hold':
      return {
        subject: 'restore put on hold',
        lines: [
          `The restore of your shop ${shop} was put on hold by those who look after its backups.`,
          ...reason(facts),
          ...(facts.isApproved ? ['The time you were promised goes on counting; it is not suspended.', ...deadline(facts)] : []),
        ],
      };
    case 'release':
      return {
        subject: 'restore no longer on hold',
        lines: facts.isApproved
          ? [`The restore of your shop ${shop} is no longer on hold; it is about to begin.`, ...deadline(facts)]
          : [`The restore of your shop ${shop} is no longer on hold. It waits for your approval:`, `  coffre request approve ${facts.id}`],
      };
    case 'refuse':
      return {
        subject: 'restore refused',
        lines: [
          `The restore of your shop ${shop} was refused by those who look after its backups.`,
          ...reason(facts),
          ...(facts.wasBegun ? [] : ['Your shop was not changed.']),
        ],
      };
    case 'cancel':
      return {
        subject: 'restore called off',
        lines: [
          facts.doneBy === 'client'
            ? `You called off the restore of your shop ${shop}.`
            : facts.doneBy === 'daemon'
              ? `The restore of your shop ${shop} is called off: nobody approved it for two weeks.`
              : `The restore of your shop ${shop} was called off by those who look after its backups.`,
          ...(facts.doneBy === 'operator' ? reason(facts) : []),
          ...(facts.wasBegun ? [] : ['Your shop was not changed.']),
        ],
      };
    case 'retry':
      return {
        subject: 'restore tried again',
        lines: [`The restore of your shop ${shop} is about to be tried again.`, ...deadline(facts)],
      };
    case 'start':
      return { subject: 'restore begun', lines: [`The restore of your shop ${shop} has begun.`, ...deadline(facts)] };
    case 'verify':
      return {
        subject: 'the restored shop is checked',
        lines: [`The data of your shop ${shop} is restored. It is checked before it opens again.`, ...deadline(facts)],
      };
    case 'finish':
      return {
        subject: facts.outcome === 'broken' ? 'shop restored, later than promised' : 'shop restored',
        lines: [
          `Your shop ${shop} is restored and open again${facts.endedAt === null ? '' : ` since ${when(facts.endedAt, facts)}`}.`,
          ...verdict(facts),
          '',
          ...contents(facts),
        ],
      };
    case 'fail':
      return {
        subject: 'restore failed',
        lines: [
          `The restore of your shop ${shop} did not succeed. Those who look after its backups were told, and are seeing to it.`,
          facts.isClosed === null
            ? 'Your shop may still show its maintenance page; this is being checked.'
            : facts.isClosed
              ? 'Your shop keeps its maintenance page until then.'
              : 'Your shop is as it was before, and open.',
          ...deadline(facts),
        ],
      };
    case 'rollback':
      return {
        subject: 'restore undone, shop as it was before',
        lines: [
          `The restore of your shop ${shop} was undone by those who look after its backups. The shop is as it was before the restore, and open.`,
          'Nothing more comes of this request; another one can be made.',
        ],
      };
    case 'late':
      return {
        subject: 'promised time exceeded',
        lines: [
          `The time promised for the restore of your shop ${shop} is over, and it is not done.`,
          ...deadline(facts),
          'Those who look after its backups were told.',
        ],
      };
  }
}

const SOURCES = { database: 'database', files: 'files' } as const;

/** `wouldBe`: nobody has agreed to it yet. */
function contents(facts: RequestFacts, wouldBe = false): string[] {
  const is = wouldBe ? 'would be' : 'is';
  const title = `What ${is} restored${facts.isPart ? ', in part only' : ''}:`;
  const sources = facts.sources.map(({ asOf, source }) => `- ${SOURCES[source]}: as of ${when(asOf, facts)}`);
  return [title, ...sources, `What was changed since (orders, customers, files) ${is} lost.`];
}

/** Quoted: whoever gave it wrote it in a language of his own. */
const reason = ({ reason: said }: RequestFacts): string[] => (said === null ? [] : [`Reason given: “${said}”`]);

const deadline = (facts: RequestFacts): string[] =>
  facts.deadline === null ? [] : [`Promised: by ${when(facts.deadline, facts)} at the latest.`];

function verdict({ leftMs, outcome }: RequestFacts): string[] {
  if (outcome === null || leftMs === null) return [];
  if (outcome === 'kept') return [`The promised time was kept, with ${durationIn('en', leftMs)} to spare.`];
  return [`The promised time was exceeded by ${durationIn('en', leftMs)}.`];
}
