// Something of everything that the API tells of, for two shops, with words in it that no client may read.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { correctStatement } from '../../src/billing/corrections.ts';
import { Ledger } from '../../src/billing/ledger.ts';
import { contractPeaks } from '../../src/billing/period-peaks.ts';
import { type BillingDeps, requireContract } from '../../src/billing/statement-rows.ts';
import { issueStatement } from '../../src/billing/statements.ts';
import { audit } from '../../src/catalog/audit.ts';
import { recordDrill } from '../../src/catalog/drills.ts';
import { placeHold } from '../../src/catalog/holds.ts';
import { recordLook } from '../../src/catalog/incidents.ts';
import { recordProbe } from '../../src/catalog/probes.ts';
import { insertRequest } from '../../src/catalog/requests.ts';
import { finishRun, startRun } from '../../src/catalog/runs.ts';
import { recordSnapshot } from '../../src/catalog/snapshots.ts';
import { createToken } from '../../src/catalog/tokens.ts';
import type { Clock } from '../../src/clock.ts';
import { vaultPlace } from '../../src/config/vault-place.ts';
import { CoffreError } from '../../src/errors.ts';
import { exportFile } from '../../src/restore/export-place.ts';
import { newId } from '../../src/segment/id.ts';
import { snapshotRow } from '../rows.ts';
import type { TestDaemon } from './daemon.ts';

/** Stands in every message, path and reason below. */
export const SECRET_WORD = 'hunter2';

/** Ids of what a shop has. */
export interface Things {
  readonly shop: string;
  readonly snapshot: string;
  readonly drill: string;
  /** Ended long ago. */
  readonly run: string;
  readonly incident: string;
  /** Of the incident. */
  readonly breach: string;
  readonly hold: string;
  readonly token: string;
  /** Of the last month. */
  readonly statement: string;
  /** Of it, and waits. */
  readonly correction: string;
  /** One that waits for approval, one that is held, one that failed. */
  readonly request: string;
  readonly heldRequest: string;
  readonly failedRequest: string;
  /** An archive that can be downloaded. */
  readonly export: string;
}

/** Of each shop's export. */
export const EXPORT_BYTES = 5000;

let names = 0;

export async function makeThings({ catalog, service }: TestDaemon, shop: string): Promise<Things> {
  const { clock, config } = service;
  const who = SECRET_WORD;
  const ledger = new Ledger(catalog, clock);
  const run = newId(clock);
  await startRun(catalog, clock, { id: run, kind: 'backup', shop, source: 'files', who });
  const error = new CoffreError('E_FILES_READ', `cannot read /var/www/${shop}/${SECRET_WORD}`, { hint: SECRET_WORD });
  await finishRun(catalog, clock, run, 'failed', error, { path: SECRET_WORD });

  const snapshot = newId(clock);
  const stored: number[] = [];
  for (const kind of ['manifest', 'index'] as const) {
    const key = `${shop}/${kind}/${snapshot}`;
    const id = await ledger.intent({ vault: 'nas', shop, key, kind, refId: snapshot, runId: run, expectedBytes: 100 });
    await ledger.stored(id, { key, versionId: `v-${snapshot}-${kind}`, sizeBytes: 100, lock: null }, null);
    stored.push(id);
  }
  const [manifestObject = 0, indexObject = 0] = stored;
  const nowMs = clock.nowMs();
  await recordSnapshot(catalog, {
    snapshot: snapshotRow({
      ...{ id: snapshot, shop, runId: run, startedAt: nowMs, asOf: nowMs, completedAt: nowMs, keepUntil: nowMs + 86_400_000 },
      ...{
        counts: '{"files":3}',
        requiredVaults: '["nas"]',
        consistency: JSON.stringify({ acrossTables: true, notCovered: [SECRET_WORD] }),
      },
    }),
    segments: [],
    copy: { snapshotId: snapshot, vault: 'nas', committedAt: nowMs, manifestObject, indexObject, verifiedAt: null, verifyError: null },
  });

  const drill = newId(clock);
  await recordDrill(catalog, {
    ...{ drill, shop, vault: 'nas', startedAt: nowMs, endedAt: nowMs, outcome: 'failed', code: 'E_OBJECT_ALTERED', said: SECRET_WORD },
    ...{ restoreMs: 1, targetMs: 2, snapshots: [snapshot], document: JSON.stringify({ evidence: {}, signature: {} }) },
  });

  const sighting = {
    kind: 'foreign version',
    key: `${shop}/${SECRET_WORD}-${run}`,
    versionId: 'v',
    sizeBytes: 1,
    detail: SECRET_WORD,
  } as const;
  const { opened } = await recordLook(catalog, clock, { vault: 'nas', shop, kinds: ['foreign version'], sightings: [sighting], who });
  const breach = await catalog.db
    .selectFrom('breachIncidents')
    .select('caseId')
    .where('incidentId', '=', opened[0]?.id ?? '')
    .executeTakeFirstOrThrow();
  const hold = await placeHold(catalog, clock, { id: newId(clock), shop, snapshotId: null, reason: SECRET_WORD, who });
  names += 1;
  const made = { name: `thing ${names}`, role: 'client', shops: [shop], expiresAt: null, who } as const;
  const { row } = await createToken(catalog, clock, made);
  const nas = config.vaults.get('nas');
  if (nas) await recordProbe(catalog, clock, { name: 'nas', place: vaultPlace(nas) }, 'proven', []);
  await audit(catalog, clock, { who, what: 'prune', shop, detail: { reason: SECRET_WORD } });
  const deps = { catalog, clock, config, peaks: contractPeaks };
  const statement = await issueLastMonth(deps, who);
  const wrong = { statement, amount: '-1', shop: null, reason: SECRET_WORD, beyond: true, who };
  const { correction } = (await correctStatement(deps, requireContract(config, 'csi-001'), wrong)).made;
  const [request, heldRequest, failedRequest] = [newId(clock), newId(clock), newId(clock)];
  for (const [id, state] of [
    [request, 'requested'],
    [heldRequest, 'held'],
    [failedRequest, 'failed'],
  ] as const) {
    const preview = { shop, at: null, tables: [], paths: [], snapshots: [], gapMs: null, lost: [], estimate: null };
    const nothing = { approvedAt: null, approvedBy: null, approvedRole: null, promise: null, deadline: null, startedAt: null } as const;
    const row = {
      ...{ id, shop, state, wanted: JSON.stringify({ at: null, sources: null, tables: [], paths: [] }), preview: JSON.stringify(preview) },
      ...{ createdAt: nowMs, createdBy: who, createdRole: 'operator' as const, ...nothing, verifyingAt: null, endedAt: null, runId: run },
      ...{ errorCode: 'E_TARGET_WRITE', errorMessage: SECRET_WORD, outcome: null, countedMs: null, leftMs: null, toldEvent: 0 },
    };
    await catalog.transaction((tx) => insertRequest(tx, row, { verb: 'request', who, role: 'operator' }));
  }
  const exported = newId(clock);
  await startRun(catalog, clock, { id: exported, kind: 'export', shop, source: null, who });
  const { file, sizeBytes } = { file: exportFile(config.restore.scratchDir, exported), sizeBytes: EXPORT_BYTES };
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, Buffer.alloc(sizeBytes, shop));
  const detail = { shop, sizeBytes, files: 3, tables: 0, rows: 0, snapshots: [], durationMs: 5 };
  await finishRun(catalog, clock, exported, 'done', null, detail);
  return {
    export: exported,
    drill,
    request,
    heldRequest,
    failedRequest,
    statement,
    correction,
    shop,
    snapshot,
    run,
    incident: opened[0]?.id ?? '',
    breach: breach.caseId,
    hold: hold.id,
    token: row.id,
  };
}

/** Issued once, whoever needs it. */
async function issueLastMonth(deps: BillingDeps, who: string): Promise<string> {
  const contract = requireContract(deps.config, 'csi-001');
  const { statement } = await issueStatement(deps, contract, lastMonth(deps.clock, contract.timezone), who);
  return statement.number ?? '';
}

/** YYYY-MM. */
export const lastMonth = (clock: Clock, timezone: string): string =>
  clock.now().toZonedDateTimeISO(timezone).toPlainDate().subtract({ months: 1 }).toPlainYearMonth().toString();
