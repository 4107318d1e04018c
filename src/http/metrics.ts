// `GET /metrics`: the daemon's Prometheus metrics, made at the scrape and kept for some seconds.
import type { Counter, Registry } from 'prom-client';
import * as z from 'zod';
import { nextTurn } from '../clock.ts';
import type { Service } from '../schedule/service.ts';
import type { ShopSurvey } from '../schedule/survey.ts';
import { daemonSamples } from './metrics-daemon.ts';
import { shopSamples } from './metrics-shop.ts';
import { METRICS, type MetricName, type Sample } from './metrics-table.ts';
import type { Access } from './principal.ts';
import type { Api } from './routes.ts';

/** Metrics name shops and what they store: not for clients. */
export const METRICS_ACCESS: Access = ['admin', 'monitor'];

/** Two Prometheus servers, or a person who reloads the page, cost no more than one. */
const KEPT_MS = 5_000;
/** Of shops that have changed: some milliseconds. */
const SHOPS_A_TURN = 50;

const schema = {
  tags: ['service'],
  summary: 'metrics for Prometheus',
  response: { 200: { description: 'the text format of Prometheus', content: { 'text/plain': { schema: z.string() } } } },
};

export function registerMetrics(api: Api, service: Service): void {
  const metrics = new Metrics(service);
  api.get('/metrics', { config: { access: METRICS_ACCESS }, schema }, async (_request, reply) => {
    const { text, type } = await metrics.scrape();
    return reply.type(type).serializer(String).send(text);
  });
}

export interface Scrape {
  readonly text: string;
  readonly type: string;
}

/** All metrics of one daemon. */
export class Metrics {
  readonly #service: Service;
  /** What a shop has to tell as text: with hundreds of shops that is a megabyte, and few of them have changed since the last scrape. */
  readonly #ofShop = new WeakMap<ShopSurvey, ReadonlyMap<MetricName, string>>();
  #process: Registry | null = null;
  #last: { readonly atMs: number; readonly scrape: Promise<Scrape> } | null = null;

  constructor(service: Service) {
    this.#service = service;
  }

  /** What was made within the last seconds, or anew. A failure is not kept. */
  scrape(): Promise<Scrape> {
    const nowMs = this.#service.clock.monotonicMs();
    if (this.#last === null || nowMs - this.#last.atMs > KEPT_MS) {
      const scrape = this.#make();
      this.#last = { atMs: nowMs, scrape };
      scrape.catch(() => {
        if (this.#last?.scrape === scrape) this.#last = null;
      });
    }
    return this.#last.scrape;
  }

  async #make(): Promise<Scrape> {
    const registry = await this.#load();
    const surveys = this.#service.survey.shops();
    const texts: ReadonlyMap<MetricName, string>[] = [seriesOf(await daemonSamples(this.#service, surveys))];
    for (const [at, survey] of surveys.entries()) {
      if (at % SHOPS_A_TURN === 0) await nextTurn();
      texts.push(this.#shop(survey));
    }
    const parts: string[] = [];
    for (const [name, { help }] of Object.entries(METRICS)) {
      const series = texts.map((text) => text.get(name as MetricName) ?? '').join('');
      if (series !== '') parts.push(`# HELP ${name} ${help}\n# TYPE ${name} gauge\n${series}`);
    }
    return { text: `${parts.join('\n')}\n${await registry.metrics()}`, type: registry.contentType };
  }

  #shop(survey: ShopSurvey): ReadonlyMap<MetricName, string> {
    let text = this.#ofShop.get(survey);
    if (text === undefined) {
      text = seriesOf(shopSamples(survey));
      this.#ofShop.set(survey, text);
    }
    return text;
  }

  /** Of the process itself. Loaded with the first scrape: most daemons of one shop are never asked. */
  async #load(): Promise<Registry> {
    if (this.#process !== null) return this.#process;
    const { collectDefaultMetrics, Registry } = await import('prom-client');
    const registry = new Registry();
    // prom-client counts processor time from here on: what the process took before belongs to it too
    const before = process.cpuUsage();
    collectDefaultMetrics({ register: registry });
    addCpuSeconds(registry, before);
    this.#process = registry;
    return registry;
  }
}

/** Lines of the text format (https://prometheus.io/docs/instrumenting/exposition_formats/), by metric. */
function seriesOf(samples: readonly Sample[]): Map<MetricName, string> {
  const lines = new Map<MetricName, string>();
  for (const { name, labels, value } of samples) {
    const of = Object.entries(labels).map(([label, text]) => `${label}="${escapeLabel(text)}"`);
    lines.set(name, `${lines.get(name) ?? ''}${name}${of.length > 0 ? `{${of.join(',')}}` : ''} ${value}\n`);
  }
  return lines;
}

const ESCAPED: Readonly<Record<string, string>> = { '\\': '\\\\', '"': '\\"', '\n': '\\n' };
const escapeLabel = (text: string): string => text.replace(/[\\"\n]/g, (character) => ESCAPED[character] as string);

function addCpuSeconds(registry: Registry, { user, system }: NodeJS.CpuUsage): void {
  const seconds = { user: user / 1e6, system: system / 1e6, total: (user + system) / 1e6 };
  for (const kind of ['user', 'system', 'total'] as const) {
    const name = kind === 'total' ? 'process_cpu_seconds_total' : `process_cpu_${kind}_seconds_total`;
    (registry.getSingleMetric(name) as Counter | undefined)?.inc(seconds[kind]);
  }
}
