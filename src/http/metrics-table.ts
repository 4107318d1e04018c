// Every metric that the daemon has: name, labels and what it says. Base units, and instants as seconds since the epoch: age is for the
// query (`time() - x`). Labels are names of the configuration and kinds of fixed lists: there are as many series as that makes.

interface Metric {
  readonly labels: readonly string[];
  readonly help: string;
}

const metric = <const L extends readonly string[]>(labels: L, help: string) => ({ labels, help });

export const METRICS = {
  coffre_build_info: metric(['version'], 'always 1; version of coffre'),
  coffre_daemon_start_timestamp_seconds: metric([], 'when the daemon was started'),
  coffre_config_refused: metric([], '1 while the configuration file was not taken and the one before is in force'),
  coffre_runs_running: metric(['kind'], 'runs under way'),
  coffre_runs_hung: metric([], 'runs that were told to stop and do not'),
  coffre_runs_queued: metric([], 'submitted runs that wait'),
  coffre_slots_due: metric([], 'scheduled slots that are due and wait'),

  coffre_shops: metric([], 'declared shops'),
  coffre_shops_red: metric([], 'declared shops of which something is red or that cannot be looked at'),
  coffre_survey_oldest_timestamp_seconds: metric([], 'the shop that was not looked at for longest; 0: some were never looked at'),
  coffre_shop_red: metric(['shop'], '1 when coffre status says red, or cannot say'),
  coffre_shop_alarms: metric(['shop', 'kind'], 'what is red, by its kind'),
  coffre_shop_backed_up: metric(['shop'], '0 while the shop is suspended or erased'),
  coffre_shop_used_bytes: metric(['shop'], 'size of what the newest good snapshots hold'),
  coffre_shop_quota_bytes: metric(['shop'], 'what its plan allows'),

  coffre_snapshot_good_timestamp_seconds: metric(['shop', 'source'], 'of when the newest good snapshot is; 0: there is none'),
  coffre_snapshot_due_timestamp_seconds: metric(['shop', 'source'], 'of when the newest good snapshot must be at the latest'),
  coffre_snapshot_lock_end_timestamp_seconds: metric(['shop', 'source'], 'end of its shortest lock, as read back; 0: not known'),
  coffre_snapshot_plain_bytes: metric(['shop', 'source'], 'what it holds'),
  coffre_snapshot_stored_bytes: metric(['shop', 'source'], 'what its segments occupy in one vault'),
  coffre_snapshot_fresh_bytes: metric(['shop', 'source'], 'of these, what its own run stored'),
  coffre_snapshot_duration_seconds: metric(['shop', 'source'], 'how long its run took'),
  coffre_run_last_timestamp_seconds: metric(['shop', 'source'], 'when the last backup began'),
  coffre_run_last_success: metric(['shop', 'source'], '1 when the last backup that ended is done, 0 when it failed or was cut off'),

  coffre_copies: metric(['shop'], 'copies that count, production included'),
  coffre_copies_ok: metric(['shop'], '1 when 3-2-1-1-0 holds'),
  coffre_copies_verify_errors: metric(['shop'], 'stored copies that failed verification'),
  coffre_copy_held: metric(['shop', 'vault'], '1 when the vault has the newest good snapshots'),
  coffre_copy_lock_end_timestamp_seconds: metric(['shop', 'vault'], 'end of the shortest lock of these, as read back; 0: not known'),
  coffre_copy_lacking_snapshots: metric(['shop', 'vault'], 'snapshots that the vault lacks, or holds damaged'),
  coffre_copy_unread_bytes: metric(['shop', 'vault'], 'bytes that were neither stored nor read back within verify.readWithin'),

  coffre_restore_target_seconds: metric(['shop'], 'how long a restore may take'),
  coffre_restore_estimate_seconds: metric(
    ['shop'],
    'how long it would take, from what restores and drills measured; absent: too little was',
  ),
  coffre_restore_estimate_low_seconds: metric(['shop'], 'the least that is likely'),
  coffre_restore_estimate_high_seconds: metric(['shop'], 'the most that is likely'),
  coffre_restore_fits: metric(['shop'], '1 when it would end within what the plan promises, by the plan’s business hours; absent: unknown'),

  coffre_requests: metric(['state'], 'restore requests, by state'),
  coffre_requests_broken: metric([], 'restore requests whose promised time was exceeded'),
  coffre_request_left_seconds: metric(
    ['shop'],
    'what is left of the promised time of an approved restore that is not done, as its calendar counts; negative: exceeded; absent: none is open',
  ),
  coffre_drill_timestamp_seconds: metric(
    ['shop', 'vault'],
    'when the last drill from the vault ended; 0: its plan drills it, and there was none',
  ),
  coffre_drill_passed: metric(['shop', 'vault'], '1 when that drill was passed'),
  coffre_drill_restore_seconds: metric(['shop', 'vault'], 'how long the restore in it took'),
  coffre_drill_due_timestamp_seconds: metric(
    ['shop'],
    'since when there must have been a drill, of whatever vault; absent: none is missing',
  ),

  coffre_incidents_open: metric(['vault', 'kind'], 'incidents that nobody has acknowledged; zero is told for each vault, without a kind'),
  coffre_breaches_open: metric(['vault'], 'cases of tampering or loss whose clients were not told yet'),
  coffre_breach_left_seconds: metric(
    ['vault'],
    'what is left to tell them, of the case that is due first; negative: it is too late; absent: no case waits',
  ),
  coffre_vault_probe_timestamp_seconds: metric(['vault'], 'when its lock was last probed; 0: never'),
  coffre_vault_lock_proven: metric(['vault'], '1 when that probe proved it; a folder proves what it can, and never counts as locked'),
  coffre_vault_checkpoint_timestamp_seconds: metric(['vault'], 'of when the newest checkpoint of the daemon’s state in it is; 0: none'),
  coffre_vault_stored_bytes: metric(['vault'], 'what it holds of us by the ledger'),
  coffre_shop_stored_bytes: metric(['shop', 'vault'], 'what a declared shop occupies in it by the ledger'),
  coffre_contract_stored_bytes: metric(['contract'], 'what counts for the contract now'),
  coffre_contract_subscribed_bytes: metric(['contract'], 'what is subscribed'),

  coffre_notifications_waiting: metric(['channel'], 'messages that are still to be sent; 1 while the ping does not get through'),
  coffre_notifications_oldest_timestamp_seconds: metric(
    ['channel'],
    'since when the oldest of them waits, or the ping fails; absent: none does',
  ),

  coffre_state_free_bytes: metric([], 'free space of the file system of stateDir'),
  coffre_state_size_bytes: metric([], 'size of that file system'),
  coffre_catalog_bytes: metric([], 'size of the catalog'),
} as const satisfies Record<string, Metric>;

export type MetricName = keyof typeof METRICS;

type Labels<M extends MetricName> = { readonly [L in (typeof METRICS)[M]['labels'][number]]: string };

/** One series and its value. */
export interface Sample {
  readonly name: MetricName;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export const sample = <M extends MetricName>(name: M, labels: Labels<M>, value: number | boolean): Sample => ({
  name,
  labels,
  value: Number(value),
});
