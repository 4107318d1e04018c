// The log of a run: any event that is declared.
import type { IncidentRow } from '../catalog/incidents.ts';
import { ERRORS } from '../errors.ts';
import type { EventLog } from '../events.ts';

export type RunLog = EventLog;

export function logIncident(log: RunLog, { id, vault, shop, kind, key, versionId, detail }: IncidentRow): void {
  const { hint } = ERRORS.E_INCIDENT;
  const said = `${kind} in ${vault}${key === '' ? '' : `: ${key}`}${detail === null ? '' : ` (${detail})`}`;
  log.error({ event: 'incident', incident: id, shop, vault, kind, key, version: versionId, code: 'E_INCIDENT', hint }, said);
}
