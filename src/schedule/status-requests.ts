// A shop's restore requests in its status: what is open with its clock, what is late, what failed and nobody saw to. Pure.
import { type Alarm, raise } from './alarm.ts';
import { text } from './status-text.ts';

/** A request that is open, or that failed and after which none was done. Epoch milliseconds. */
export interface RequestFact {
  readonly id: string;
  readonly state: string;
  readonly since: number;
  readonly errorCode: string | null;
  /** It is approved, and the daemon cannot begin it. */
  readonly byRoot?: boolean;
  /** The clock at the look; null: nobody approved it. */
  readonly clock: { readonly deadline: number; readonly leftMs: number; readonly state: 'running' | 'paused' | 'kept' | 'broken' } | null;
}

export interface RequestStatus {
  readonly id: string;
  readonly state: string;
  readonly deadline: string | null;
  /** What is left of the target; negative: by how much it is exceeded. */
  readonly leftMs: number | null;
  readonly clock: 'running' | 'paused' | 'kept' | 'broken' | null;
}

/** What is late, failed, or waits for a person while its clock runs is red; what is open is worth knowing. */
export function checkRequests(
  requests: readonly RequestFact[],
  {
    openRestore,
    shop,
    timezone,
  }: { readonly openRestore?: object | null; readonly shop: { readonly name: string }; readonly timezone: string },
  red: Alarm[],
  notes: string[],
): readonly RequestStatus[] {
  for (const { byRoot = false, clock, errorCode, id, since, state } of requests) {
    const again = byRoot ? `as root coffre request run ${id}` : `coffre request retry ${id}`;
    const end = openRestore
      ? `as root coffre restore ${shop.name} --in-place --rollback goes back and ends it`
      : `coffre request cancel ${id} ends it`;
    const deadline = clock === null ? '' : text(clock.deadline, timezone);
    if (clock?.state === 'broken') {
      raise(
        red,
        'request',
        { detail: id, code: errorCode },
        `the restore that was approved (request ${id}, ${state}) was due at ${deadline}; coffre request show ${id} says how it stands${state === 'failed' ? `, ${again} tries again, ${end}` : ''}`,
      );
    } else if (state === 'failed') {
      raise(
        red,
        'request',
        { detail: id, code: errorCode },
        `the restore of request ${id} failed [${errorCode ?? 'unknown'}], its clock goes on until ${deadline}; coffre request show ${id} says why, ${again} tries again, ${end}`,
      );
    } else if (byRoot && state === 'approved' && clock !== null) {
      raise(
        red,
        'request',
        { detail: id, code: null },
        `a restore is approved (request ${id}), due at ${deadline}, and nothing begins it by itself: as root coffre request run ${id}`,
      );
    } else if (clock === null) {
      notes.push(`a restore was asked for at ${text(since, timezone)} and waits for its approval: request ${id}, ${state}`);
    } else {
      notes.push(
        `a restore is ${state}: request ${id}, due at ${deadline}${clock.state === 'paused' ? ' (its clock is paused)' : ''}; coffre request show ${id}`,
      );
    }
  }
  return requests.map(({ clock, id, state }) => ({
    ...{ id, state, deadline: clock === null ? null : text(clock.deadline, timezone) },
    ...{ leftMs: clock?.leftMs ?? null, clock: clock?.state ?? null },
  }));
}
