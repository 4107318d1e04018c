// The catalog's tables as Kysely sees them, the rows of each subject in tables/. Instants are epoch milliseconds, sizes are bytes,
// booleans are 0 or 1, JSON is text.
import type { AuditTable, CheckpointFailuresTable, CheckpointsTable, TokensTable } from './tables/daemon.ts';
import type { BreachCasesTable, BreachIncidentsTable, IncidentsTable } from './tables/incidents.ts';
import type { AnchorsTable, LedgerMovesTable, LedgerStartsTable, LedgerTable } from './tables/ledger.ts';
import type { AlarmsTable, MessagesTable, PingFailuresTable } from './tables/messages.ts';
import type { ObjectsTable, PinsTable, ProbesTable, SegmentsTable } from './tables/objects.ts';
import type { DrillsTable, OpenRestoresTable, RequestEventsTable, RequestsTable, RestoreRatesTable } from './tables/restores.ts';
import type { PausesTable, RunStepsTable, RunsTable, SlotsTable } from './tables/runs.ts';
import type { CertificatesTable, HoldsTable, ShopFactsTable, ShopStatesTable } from './tables/shops.ts';
import type { GapsTable, SnapshotSegmentsTable, SnapshotsTable, SnapshotVaultsTable } from './tables/snapshots.ts';
import type { CorrectionsTable, StatementsTable } from './tables/statements.ts';

export interface Tables {
  openRestores: OpenRestoresTable;
  breachCases: BreachCasesTable;
  breachIncidents: BreachIncidentsTable;
  shopFacts: ShopFactsTable;
  statements: StatementsTable;
  corrections: CorrectionsTable;
  requests: RequestsTable;
  requestEvents: RequestEventsTable;
  runs: RunsTable;
  runSteps: RunStepsTable;
  pauses: PausesTable;
  segments: SegmentsTable;
  objects: ObjectsTable;
  snapshots: SnapshotsTable;
  snapshotVaults: SnapshotVaultsTable;
  snapshotSegments: SnapshotSegmentsTable;
  gaps: GapsTable;
  pins: PinsTable;
  ledger: LedgerTable;
  anchors: AnchorsTable;
  ledgerMoves: LedgerMovesTable;
  ledgerStarts: LedgerStartsTable;
  probes: ProbesTable;
  audit: AuditTable;
  slots: SlotsTable;
  shopStates: ShopStatesTable;
  holds: HoldsTable;
  certificates: CertificatesTable;
  drills: DrillsTable;
  checkpoints: CheckpointsTable;
  checkpointFailures: CheckpointFailuresTable;
  incidents: IncidentsTable;
  tokens: TokensTable;
  alarms: AlarmsTable;
  messages: MessagesTable;
  pingFailures: PingFailuresTable;
  restoreRates: RestoreRatesTable;
}
