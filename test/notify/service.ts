// What a notifier takes of the daemon, over a real catalog: nothing runs, nothing is red, nothing is logged, unless the test says so.
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { type Catalog, openCatalog } from '../../src/catalog/open.ts';
import { parseConfig } from '../../src/config/load.ts';
import type { NotifierService } from '../../src/notify/notifier-service.ts';
import type { FakeClock } from '../fake-clock.ts';

/** `lines`: the configuration, but for where its state is; `dir`: for that. */
export async function notifiedService(
  clock: FakeClock,
  dir: string,
  lines: readonly string[],
): Promise<NotifierService & { readonly catalog: Catalog }> {
  const config = parseConfig([`stateDir: ${dir}/state`, 'encryption: none', ...lines].join('\n'), join(dir, 'coffre.yaml'), {});
  const catalog = await openCatalog(config.stateDir);
  onTestFinished(() => catalog.close());
  const quiet = (): void => {};
  return {
    ...{ catalog, config, clock, log: { level: 'info', debug: quiet, info: quiet, warn: quiet, error: quiet } },
    state: { startedAt: 0, running: [], queued: 0, due: 0, loading: false, stopping: false, configProblem: null },
    survey: { isComplete: true, shops: () => [] },
  };
}
