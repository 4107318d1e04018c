// Asks routes of a daemon at a steady rate, in turn and whether it answers or not: one that stands still for a while is asked all the while.
import { request } from 'node:http';
import { systemClock } from '../../../src/clock.ts';
import { round } from './figures.ts';

export interface Latency {
  readonly answers: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly slowestMs: number;
}

export interface SteadyAsking {
  /** The last document that this route answered. */
  latest(route: string): string | null;
  /** Of everything, and of each route. Waits for what was asked. Throws when anything was answered with another status than 200. */
  stop(): Promise<Latency & { readonly routes: Readonly<Record<string, Latency>> }>;
}

export function askSteadily(socketPath: string, routes: readonly string[], everyMs: number): SteadyAsking {
  const took = new Map<string, number[]>(routes.map((route) => [route, []]));
  const texts = new Map<string, string>();
  const pending = new Set<Promise<void>>();
  const stop = new AbortController();
  let failure: Error | null = null;

  const askOne = async (route: string): Promise<void> => {
    const askedMs = performance.now();
    try {
      const { status, text } = await ask(socketPath, route);
      took.get(route)?.push(performance.now() - askedMs);
      texts.set(route, text);
      if (status !== 200) failure ??= new Error(`${route} answered ${status}: ${text.slice(0, 200)}`);
    } catch (error) {
      failure ??= error as Error;
    }
  };
  const asking = (async () => {
    const startMs = performance.now();
    for (let count = 0; !stop.signal.aborted; count++) {
      const one = askOne(routes[count % routes.length] as string);
      pending.add(one);
      void one.finally(() => pending.delete(one));
      await systemClock.sleep(Math.max(0, startMs + (count + 1) * everyMs - performance.now()));
    }
  })();
  return {
    latest: (route) => texts.get(route) ?? null,
    async stop() {
      stop.abort();
      await asking;
      await Promise.all(pending);
      if (failure !== null) throw failure;
      return {
        ...latencyOf([...took.values()].flat()),
        routes: Object.fromEntries([...took].map(([route, ms]) => [route, latencyOf(ms)])),
      };
    },
  };
}

function latencyOf(tookMs: readonly number[]): Latency {
  const sorted = tookMs.toSorted((a, b) => a - b);
  // the nearest rank: of 100 answers the second slowest is not above it
  const percentile = (share: number): number => round(sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? 0, 1);
  return { answers: sorted.length, p50Ms: percentile(0.5), p99Ms: percentile(0.99), slowestMs: percentile(1) };
}

/** The answer, once it was read to its end. */
export function ask(socketPath: string, path: string): Promise<{ readonly status: number; readonly text: string }> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, path }, (response) => {
      const parts: Buffer[] = [];
      response.on('error', reject).on('data', (part: Buffer) => parts.push(part));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text: Buffer.concat(parts).toString() }));
    });
    asked.on('error', reject).end();
  });
}
