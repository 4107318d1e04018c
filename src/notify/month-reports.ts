// Each month's report, mailed once to the contacts of the shops that are to have it.
import { Temporal } from 'temporal-polyfill';
import type { MessageRow } from '../catalog/messages.ts';
import type { Catalog } from '../catalog/open.ts';
import type { Config, ContactConfig, ShopConfig } from '../config/config.ts';
import { bytesIn, monthIn, wholeNumber } from '../document/wording.ts';
import { readReport } from '../report/read-report.ts';
import { reportPage } from '../report/report-page.ts';
import type { Report } from '../report/report-schema.ts';
import type { Channel } from './channels.ts';
import type { Message, MessageOptions } from './message.ts';

/** Of the first day of the next month: the last night's work is over by then. */
const FROM_HOUR = 8;
/** Later it is old news: a daemon that was off for longer sends none. Less than sent messages are kept for. */
const TOLD_UNTIL_DAY = 10;

export const isReported = ({ contact, plan, report }: ShopConfig): boolean =>
  (contact?.emails.length ?? 0) > 0 && (report ?? plan.report)?.monthly === true;

/** First day of the month whose reports are to be sent now; null: none. */
export function monthToReport(now: Temporal.Instant, timezone: string): Temporal.PlainDate | null {
  const there = now.toZonedDateTimeISO(timezone);
  if (there.day > TOLD_UNTIL_DAY || (there.day === 1 && there.hour < FROM_HOUR)) return null;
  return there.toPlainDate().with({ day: 1 }).subtract({ months: 1 });
}

export class MonthReports {
  /** Ids that need not be asked for again. */
  readonly #done = new Set<string>();

  /** The message of one shop that has none yet, so that a look stays short; null: every shop has its own. Throws E_CATALOG. */
  async next(
    catalog: Catalog,
    config: Config,
    channels: readonly Channel[],
    { host, nowMs }: Pick<MessageOptions, 'host' | 'nowMs'>,
    known: (id: string) => boolean,
  ): Promise<MessageRow | null> {
    if (!channels.includes('mail')) return null;
    const month = monthToReport(Temporal.Instant.fromEpochMilliseconds(nowMs), config.timezone);
    if (month === null) {
      this.#done.clear();
      return null;
    }
    for (const shop of config.shops.values()) {
      if (!isReported(shop) || !shop.contact) continue;
      const name = `report-${shop.name}-${month.toString().slice(0, 7)}`;
      const id = `${name}-mail`;
      if (this.#done.has(id) || known(id)) continue;
      this.#done.add(id);
      if (await catalog.db.selectFrom('messages').select('id').where('id', '=', id).executeTakeFirst()) continue;
      const to = month.add({ months: 1 }).subtract({ days: 1 });
      const report = await readReport(config, catalog, { shop: shop.name, from: month, to, nowMs, isTold: false }).catch(
        (error: unknown) => {
          this.#done.delete(id);
          throw error;
        },
      );
      const message = reportMessage(report, shop.contact, month, { id: name, host, nowMs });
      return {
        ...{ id, at: nowMs, channel: 'mail', content: JSON.stringify(message), tries: 0, nextAt: nowMs },
        ...{ sentAt: null, givenUpAt: null, code: null, error: null },
      };
    }
    return null;
  }
}

function reportMessage(
  report: Report,
  { emails, language, name }: ContactConfig,
  month: Temporal.PlainDate,
  { host, id, nowMs }: Pick<MessageOptions, 'host' | 'id' | 'nowMs'>,
): Message {
  const { backups, drills, incidents, restores } = report.totals;
  const n = (value: number): string => wholeNumber(value, language);
  const { shop, volume } = report;
  const vaults = volume.vaults.length;
  const when = monthIn(language, month);
  const peak = volume.peakBytes === null ? null : bytesIn(language, volume.peakBytes);
  const lines =
    language === 'fr'
      ? [
          name === null ? 'Bonjour,' : `Bonjour ${name},`,
          '',
          `Vous trouverez ci-joint le rapport de sauvegarde de votre boutique ${shop} pour ${when}. En résumé\u00a0:`,
          `  – sauvegardes réussies\u00a0: ${n(backups.done)}${backups.failed > 0 ? `, en échec\u00a0: ${n(backups.failed)}` : ''}`,
          `  – exercices de restauration réussis\u00a0: ${n(drills.passed)}${drills.failed > 0 ? `, en échec\u00a0: ${n(drills.failed)}` : ''}`,
          `  – restaurations effectuées\u00a0: ${n(restores.done)}${restores.failed > 0 ? `, en échec\u00a0: ${n(restores.failed)}` : ''}`,
          `  – incidents constatés\u00a0: ${n(incidents.found)}${incidents.open > 0 ? `, encore ouverts\u00a0: ${n(incidents.open)}` : ''}`,
          ...(peak === null
            ? []
            : [`  – pic de stockage\u00a0: ${peak}${vaults > 1 ? ` (total des ${n(vaults)} espaces de stockage)` : ''}`]),
          '',
          `Ce message est envoyé automatiquement par coffre (${host}).`,
        ]
      : [
          name === null ? 'Hello,' : `Dear ${name},`,
          '',
          `The backup report of your shop ${shop} for ${when} is attached. In short:`,
          `  – backups that went well: ${n(backups.done)}${backups.failed > 0 ? `, failed: ${n(backups.failed)}` : ''}`,
          `  – restore drills passed: ${n(drills.passed)}${drills.failed > 0 ? `, failed: ${n(drills.failed)}` : ''}`,
          `  – restores done: ${n(restores.done)}${restores.failed > 0 ? `, failed: ${n(restores.failed)}` : ''}`,
          `  – incidents found: ${n(incidents.found)}${incidents.open > 0 ? `, still open: ${n(incidents.open)}` : ''}`,
          ...(peak === null ? [] : [`  – peak of storage: ${peak}${vaults > 1 ? ` (all ${n(vaults)} vaults together)` : ''}`]),
          '',
          `This message was sent by coffre (${host}).`,
        ];
  const title = language === 'fr' ? `${shop}\u00a0: rapport de sauvegarde, ${when}` : `${shop}: backup report, ${when}`;
  const file = `${language === 'fr' ? 'rapport' : 'report'}-${shop}-${month.toString().slice(0, 7)}.html`;
  return {
    ...{ version: 1, id, at: Temporal.Instant.fromEpochMilliseconds(nowMs).toString({ smallestUnit: 'second' }), host, kind: 'report' },
    ...{ subject: title, text: `${lines.join('\n')}\n`, raised: [], reminded: [], recovered: [], to: emails },
    attachments: [{ name: file, type: 'text/html; charset=utf-8', content: reportPage(report, language) }],
  };
}
