// Every migration in order, as a static list: nothing is looked up on disk, and an applied one never changes.
import type { Migration } from 'kysely';
import { first } from './001-first.ts';
import { sealedTo } from './002-sealed-to.ts';
import { probePlace } from './003-probe-place.ts';
import { liveBytes } from './004-live-bytes.ts';
import { catchUp } from './005-catch-up.ts';
import { shopLife } from './006-shop-life.ts';
import { checkpoints } from './007-checkpoints.ts';
import { watch } from './008-watch.ts';
import { service } from './009-service.ts';
import { tokens } from './010-tokens.ts';
import { errorHint } from './011-error-hint.ts';
import { checkpointFailures } from './012-checkpoint-failures.ts';
import { notifications } from './013-notifications.ts';
import { restoreRates } from './014-restore-rates.ts';
import { anchors } from './015-anchors.ts';
import { pingFailures } from './016-ping-failures.ts';
import { drills } from './017-drills.ts';
import { requests } from './018-requests.ts';
import { statements } from './019-statements.ts';
import { breaches } from './020-breaches.ts';
import { shopFacts } from './021-shop-facts.ts';
import { openRestores } from './022-open-restores.ts';
import { safetySnapshots } from './023-safety-snapshots.ts';
import { withdrawnCorrections } from './024-withdrawn-corrections.ts';

export const MIGRATIONS: Record<string, Migration> = {
  '001-first': first,
  '002-sealed-to': sealedTo,
  '003-probe-place': probePlace,
  '004-live-bytes': liveBytes,
  '005-catch-up': catchUp,
  '006-shop-life': shopLife,
  '007-checkpoints': checkpoints,
  '008-watch': watch,
  '009-service': service,
  '010-tokens': tokens,
  '011-error-hint': errorHint,
  '012-checkpoint-failures': checkpointFailures,
  '013-notifications': notifications,
  '014-restore-rates': restoreRates,
  '015-anchors': anchors,
  '016-ping-failures': pingFailures,
  '017-drills': drills,
  '018-requests': requests,
  '019-statements': statements,
  '020-breaches': breaches,
  '021-shop-facts': shopFacts,
  '022-open-restores': openRestores,
  '023-safety-snapshots': safetySnapshots,
  '024-withdrawn-corrections': withdrawnCorrections,
};
