// The notifier beside the daemon, for as long as it serves.
import { Notifier } from './notifier.ts';
import type { NotifierService } from './notifier-service.ts';

export interface StartedNotifier {
  /** Ends what is being sent: it is sent by the next start. */
  close(): Promise<void>;
}

/** Throws E_CATALOG. */
export async function startNotifier(service: NotifierService): Promise<StartedNotifier> {
  const notifier = await Notifier.open(service);
  const stop = new AbortController();
  const running = notifier.run(stop.signal);
  return {
    async close() {
      stop.abort();
      await running;
    },
  };
}
