// Metrics of restore requests: how many stand how, and what is left of the promises that run. Read at each scrape: time is what they are about.
import { countRequests, openRequests } from '../catalog/requests.ts';
import { REQUEST_STATES } from '../restore/request-life.ts';
import { clockOf, PromiseCalendars } from '../schedule/request-document.ts';
import type { Service } from '../schedule/service.ts';
import { type Sample, sample } from './metrics-table.ts';

export async function requestSamples({ catalog, clock }: Pick<Service, 'catalog' | 'clock'>): Promise<Sample[]> {
  const { broken, states } = await countRequests(catalog.db);
  const calendars = new PromiseCalendars();
  const left = new Map<string, number>();
  for (const row of await openRequests(catalog.db)) {
    const reading = await clockOf(row, clock.nowMs(), calendars);
    // of several of one shop the one that is due first
    if (reading !== null) left.set(row.shop, Math.min(reading.leftMs, left.get(row.shop) ?? Number.POSITIVE_INFINITY));
  }
  return [
    ...REQUEST_STATES.map((state) => sample('coffre_requests', { state }, states.get(state) ?? 0)),
    sample('coffre_requests_broken', {}, broken),
    ...[...left].map(([shop, leftMs]) => sample('coffre_request_left_seconds', { shop }, leftMs / 1000)),
  ];
}
