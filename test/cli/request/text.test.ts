// What commands say of a request: what it would mean, what its clock says, what is next and whose turn it is.
import { describe, expect, test } from 'vitest';
import type { RequestInFull } from '../../../src/cli/request/desk.ts';
import { clockText, describePreview, describeRequest, nextText } from '../../../src/cli/request/text.ts';
import type { PreviewNow } from '../../../src/schedule/request-desk.ts';
import type { RequestClock } from '../../../src/schedule/request-document.ts';

const HOUR = 3_600_000;
const preview: PreviewNow = {
  ...{ shop: 'dupont', at: null, tables: [], paths: [], gapMs: 1.5 * HOUR, targetMs: 4 * HOUR, unattended: true },
  snapshots: [
    {
      ...{ id: 'd', source: 'database', asOf: '2026-11-23T01:30:00Z', ageMs: 8 * HOUR, plainBytes: 1.2e9, good: true, complete: true },
      ...{ files: null, tables: 312, rows: 5 },
    },
    {
      ...{ id: 'f', source: 'files', asOf: '2026-11-23T03:00:00Z', ageMs: 6.5 * HOUR, plainBytes: 4.8e9, good: false, complete: true },
      ...{ files: 61_204, tables: null, rows: null },
    },
  ],
  lost: [
    { source: 'database', since: '2026-11-23T01:30:00Z', spanMs: 8 * HOUR, newerSnapshots: 0, newerSafety: 0 },
    { source: 'files', since: '2026-11-23T03:00:00Z', spanMs: 6.5 * HOUR, newerSnapshots: 2, newerSafety: 2 },
  ],
  estimate: { expectedMs: 370_000, lowMs: 240_000, highMs: 580_000 },
  ...{ deadline: '2026-11-23T13:30:00Z', clockStarts: null, unknown: [], emptied: [], openSince: null },
};

describe('what it would mean', () => {
  test('both sources - snapshots, gap, what is lost, how long, until when', () => {
    expect(describePreview(preview, 'Europe/Paris', 'operator').split('\n')).toEqual([
      'dupont: what would be restored',
      '  database   as of 2026-11-23 02:30:00+01:00, 8 h ago, 1.2 GB, 312 tables',
      '  files      as of 2026-11-23 04:00:00+01:00, 6 h 30 min ago, 4.8 GB, 61204 files  (not good: coffre snapshots says why)',
      '  gap        the files are newer than the database by 1 h 30 min',
      '  lost       orders, customers, everything written since 2026-11-23 02:30:00+01:00 (8 h)',
      '  lost       files added or changed since 2026-11-23 04:00:00+01:00 (6 h 30 min; 2 newer snapshots are not taken (safety))',
      '  takes      about 6 min 10 s (4 min to 9 min 40 s)',
      '  promised   within 4 h: by 2026-11-23 14:30:00+01:00 if it is approved now',
      '  begun      by itself, as soon as it is approved',
    ]);
  });

  test('some of it, outside business hours, and nothing begins by itself', () => {
    const part = {
      ...preview,
      gapMs: null,
      tables: ['ps_cart_rule'],
      estimate: null,
      unattended: false,
      clockStarts: '2026-11-24T08:00:00Z',
      ...{ unknown: ['ps_merged'], emptied: ['ps_connections'] },
    };
    const said = describePreview(part, 'Europe/Paris', 'client');
    expect(said).toContain('  tables     ps_cart_rule\n');
    expect(said).toContain('what was written into these tables since');
    expect(said).toContain('takes      not known: no restore of this shop or host was measured');
    expect(said).toContain('if it is approved now; the clock starts at 2026-11-24 09:00:00+01:00');
    expect(said).toContain('begun      by those who look after the backups, once it is approved');
    expect(said).toContain('  emptied    ps_connections: rows of these are left out of backups, and are lost\n');
    expect(said).toContain('  not known  whether the snapshot holds ps_merged: only the restore can tell\n');
    expect(said).not.toContain('gap');
  });
});

const clock = (more: Partial<RequestClock>): RequestClock => ({
  ...{ targetMs: 4 * HOUR, deadline: '2026-11-23T13:30:00Z', state: 'running', countedMs: 0, leftMs: 3.2 * HOUR },
  ...{ resumesAt: null, holiday: null },
  ...more,
});

test.each<[Partial<RequestClock>, string]>([
  [{}, '3 h 12 min left, until 2026-11-23 14:30:00+01:00'],
  [
    { state: 'paused', resumesAt: '2026-11-23T08:00:00Z' },
    '3 h 12 min left, until 2026-11-23 14:30:00+01:00; paused until 2026-11-23 09:00:00+01:00',
  ],
  [
    { state: 'paused', resumesAt: '2026-11-23T08:00:00Z', holiday: 'Armistice 1918' },
    '3 h 12 min left, until 2026-11-23 14:30:00+01:00; paused until 2026-11-23 09:00:00+01:00 (Armistice 1918)',
  ],
  [{ state: 'kept', leftMs: HOUR }, 'kept, with 1 h left'],
  [{ state: 'broken', leftMs: -HOUR }, 'broken by 1 h: it was due at 2026-11-23 14:30:00+01:00'],
])('a clock, %j - %s', (more, said) => expect(clockText(clock(more), 'Europe/Paris')).toBe(said));

test.each([
  ['requested', 'client', true, true, 'coffre request approve ID starts it; until then nothing happens'],
  [
    'requested',
    'operator',
    true,
    true,
    'it waits for the approval of dupont’s owner; in an emergency: coffre request approve ID --reason TEXT',
  ],
  [
    'approved',
    'operator',
    true,
    false,
    'nothing begins by itself (restore.unattended is not true, or no restore unit is there to be asked), and the clock runs; as root: coffre request run ID',
  ],
  [
    'requested',
    'operator',
    true,
    false,
    'it waits for the approval of dupont’s owner; in an emergency: coffre request approve ID --reason TEXT; nothing begins by itself, so after it, as root: coffre request run ID',
  ],
  [
    'approved',
    'operator',
    false,
    true,
    'no daemon runs: it begins once one does (systemctl start coffre), and the clock runs; at once, as root: coffre request run ID',
  ],
  [
    'failed',
    'operator',
    true,
    false,
    'once the cause is mended: coffre request run ID, as root; or coffre request cancel ID, if it is not wanted any more',
  ],
  ['approved', 'client', true, false, 'those who look after the backups begin it; coffre request show ID --follow shows how it goes'],
  ['held', 'operator', true, true, 'coffre request release ID ends the hold; the clock of what is approved goes on'],
  ['approved', 'client', true, true, 'coffre request show ID --follow shows how it goes'],
  [
    'failed',
    'operator',
    true,
    true,
    'once the cause is mended: coffre request retry ID; or coffre request cancel ID, if it is not wanted any more',
  ],
  [
    ...(['failed', 'client', true, true] as const),
    'no message to those who look after the backups got through: tell them, and name request ID; coffre request cancel ID, if it is not wanted any more',
  ],
  ['done', 'operator', true, true, null],
] as const)('%s, to the %s, daemon %s, unattended %s - what is next', (state, role, hasDaemon, unattended, said) => {
  expect(nextText({ id: 'ID', shop: 'dupont', state, unattended }, { role, hasDaemon })).toBe(said);
});

test('it failed and left the shop closed - the way back is told, and that it ends the request; to its owner who was told', () => {
  const failed = { id: 'ID', shop: 'dupont', state: 'failed', unattended: false, restoreOpen: true, told: true } as const;
  expect(nextText(failed, { role: 'operator', hasDaemon: true })).toBe(
    'once the cause is mended: coffre request run ID, as root; or back to the shop as it was, as root: coffre restore dupont --in-place --rollback, which ends the request',
  );
  expect(nextText(failed, { role: 'client', hasDaemon: true })).toBe(
    'those who look after the backups were told; the shop is perhaps closed until they end its restore, or go back',
  );
});

test('a restore is open when another is asked for - said beforehand, to an operator with what ends it', () => {
  const open = { ...preview, openSince: '2026-11-23T09:00:00Z' };
  const since = 'now        a restore of the shop is open since 2026-11-23 10:00:00+01:00, and the shop perhaps closed';
  expect(describePreview(open, 'Europe/Paris', 'client')).toContain(`${since}: those who look after`);
  expect(describePreview(open, 'Europe/Paris', 'operator')).toContain(
    `${since}: that comes first; as root coffre restore dupont --in-place`,
  );
});

describe('how it stands', () => {
  const { openSince: _, deadline: __, clockStarts: ___, targetMs: ____, unattended: _____, ...shown } = preview;
  const request: RequestInFull = {
    ...{ id: 'ID', shop: 'dupont', state: 'done', wanted: { at: null, sources: null, tables: [], paths: [] }, preview: shown },
    ...{ createdAt: '2026-11-23T09:00:00Z', createdBy: 'marc', createdRole: 'operator', approvedAt: null, approvedBy: null },
    ...{ approvedRole: null, clock: null, startedAt: null, verifyingAt: null, endedAt: '2026-11-23T10:00:00Z', run: 'RUN' },
    ...{ error: null, outcome: null, heldMs: 0, step: null, progress: null, history: [] },
  };
  const result = {
    durationMs: 90_000,
    maintenanceMs: 60_000,
    safety: { database: 'D', files: 'F' },
    checks: 2,
    checked: ['page: 200', 'tables: 3'],
  };

  test('done - what it took, what was looked at and the way back, not what it was thought to take', () => {
    const said = describeRequest({ ...request, result }, 'Europe/Paris', 'operator');
    expect(said).toContain(
      [
        '  took       1 min 30 s, 1 min of it in maintenance',
        '  checked    page: 200',
        '  checked    tables: 3',
        '  as before  coffre restore dupont --in-place --snapshot F; then coffre restore dupont --in-place --snapshot D',
      ].join('\n'),
    );
    expect(said).not.toContain('takes');
    const owner = describeRequest({ ...request, result: { ...result, checked: [] } }, 'Europe/Paris', 'client');
    expect(owner).toContain('  checked    2 things before the shop was opened\n');
    expect(owner).toContain('  as before  those who look after the backups can go back to it: safety F and D');
  });

  test('it had failed - the history says why on its line, whatever came after', () => {
    const error = { code: 'E_TARGET_SPACE', message: 'no space left', hint: '' };
    const history = [
      { at: '2026-11-23T09:30:00Z', verb: 'fail', state: 'failed', who: 'root', role: 'daemon', reason: null, error } as const,
    ];
    expect(describeRequest({ ...request, history }, 'Europe/Paris', 'operator')).toContain(
      '2026-11-23 10:30:00+01:00  fail     root: no space left [E_TARGET_SPACE]',
    );
  });
});
