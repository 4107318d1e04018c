// `GET /metrics`: the daemon's Prometheus metrics, made at the scrape and kept for some seconds.
import type { Counter, Gauge, Registry } from 'prom-client';
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
  readonly #ofShop = new WeakMap<ShopSurvey, readonly Sample[]>();
  #registry: Registry | null = null;
  #gauges: ReadonlyMap<MetricName, Gauge> = new Map();
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
    const samples = await daemonSamples(this.#service, surveys);
    for (const gauge of this.#gauges.values()) gauge.reset();
    for (const { name, labels, value } of [...surveys.flatMap((survey) => this.#shop(survey)), ...samples]) {
      this.#gauges.get(name)?.set(labels, value);
    }
    // With hundreds of shops this is a megabyte of text: requests go between its parts.
    const parts: string[] = [];
    for (const { name } of registry.getMetricsAsArray()) {
      parts.push(await registry.getSingleMetricAsString(name));
      await nextTurn();
    }
    return { text: `${parts.filter((part) => part !== '').join('\n')}\n`, type: registry.contentType };
  }

  #shop(survey: ShopSurvey): readonly Sample[] {
    let samples = this.#ofShop.get(survey);
    if (samples === undefined) {
      samples = shopSamples(survey);
      this.#ofShop.set(survey, samples);
    }
    return samples;
  }

  /** Loaded with the first scrape: most daemons of one shop are never asked. */
  async #load(): Promise<Registry> {
    if (this.#registry !== null) return this.#registry;
    const { collectDefaultMetrics, Gauge, Registry } = await import('prom-client');
    const registry = new Registry();
    // prom-client counts processor time from here on: what the process took before belongs to it too
    const before = process.cpuUsage();
    collectDefaultMetrics({ register: registry });
    addCpuSeconds(registry, before);
    const gauges = new Map<MetricName, Gauge>();
    for (const [name, { help, labels }] of Object.entries(METRICS)) {
      gauges.set(name as MetricName, new Gauge({ name, help, labelNames: [...labels], registers: [registry] }));
    }
    this.#gauges = gauges;
    this.#registry = registry;
    return registry;
  }
}

function addCpuSeconds(registry: Registry, { user, system }: NodeJS.CpuUsage): void {
  const seconds = { user: user / 1e6, system: system / 1e6, total: (user + system) / 1e6 };
  for (const kind of ['user', 'system', 'total'] as const) {
    const name = kind === 'total' ? 'process_cpu_seconds_total' : `process_cpu_${kind}_seconds_total`;
    (registry.getSingleMetric(name) as Counter | undefined)?.inc(seconds[kind]);
  }
}
