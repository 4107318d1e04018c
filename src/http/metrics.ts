// Where the daemon's Prometheus metrics are registered, with the routes of the API.
import type { Service } from '../schedule/service.ts';
import type { Access } from './principal.ts';
import type { Api } from './routes.ts';

/** Metrics name shops and what they store: not for clients. */
export const METRICS_ACCESS: Access = ['admin', 'monitor'];

export async function registerMetrics(_api: Api, _service: Service): Promise<void> {}
