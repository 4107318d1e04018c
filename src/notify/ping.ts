// The dead-man's ping: an address called while all is well, so that silence is an alarm at whoever watches it.
import type { Clock } from '../clock.ts';
import type { NotifyConfig } from '../config/config.ts';
import { httpCall } from './http-call.ts';

/** The address itself while nothing is red; with `/fail` at its end while something is. Throws E_NOTIFY, E_SECRET_…. */
export async function sendPing(clock: Clock, ping: NonNullable<NotifyConfig['ping']>, isRed: boolean, signal?: AbortSignal): Promise<void> {
  const url = ping.url.read();
  await httpCall(clock, { method: 'GET', url: isRed ? failUrl(url) : url }, signal);
}

/** The way of healthchecks.io and those that follow it; a query stays where it is. */
export function failUrl(url: string): string {
  const [address = '', query] = url.split('?', 2);
  return `${address.replace(/\/+$/, '')}/fail${query === undefined ? '' : `?${query}`}`;
}
