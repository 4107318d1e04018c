// The log of a run: any event that is declared.
import type { EventLog } from '../events.ts';

export type RunLog = EventLog;
