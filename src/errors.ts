// One table for every error a user can meet: code, exit status, retry class, hint.

/**
 * What a scheduler may do about an error by itself:
 * `backoff` try again later, `never` the same input fails the same way, `operator` a person must act first.
 */
export type RetryClass = 'backoff' | 'never' | 'operator';

export interface ErrorKind {
  /** Exit status of the command that ends with it. */
  readonly exit: number;
  readonly retry: RetryClass;
  /** What it means, for `coffre errors` and the documentation. */
  readonly means: string;
  /** What a sysadmin can do, when the place that threw knows nothing better. */
  readonly hint: string;
}

const kind = (exit: number, retry: RetryClass, means: string, hint: string): ErrorKind => ({ exit, retry, means, hint });

/** Exit statuses group codes by who must act; each code keeps its own name and hint. */
export const ERRORS = {
  // 1: failed, cause not foreseen
  E_INTERNAL: kind(1, 'operator', 'a defect in coffre', 'report it with the log lines around it'),
  E_RED: kind(1, 'operator', 'a check found something red', 'read the red lines; coffre doctor says how to mend what it can check'),
  E_INTERRUPTED: kind(1, 'backoff', 'stopped by a signal before the end', 'run it again: it takes up what is already stored'),
  E_DEADLINE: kind(1, 'backoff', 'the run passed its deadline', 'raise limits.runDeadline or find what was slow in the log'),
  E_CANCELLED: kind(1, 'never', 'somebody cancelled the run', 'start it again if it was not meant: it takes up what is already stored'),
  E_RUN_HUNG: kind(
    1,
    'operator',
    'a run did not end when it was told to',
    'nothing else is done for its shop until it ends; what it waits for does not answer (the log, df, dmesg): restart coffre once it does',
  ),
  E_NOTIFY: kind(1, 'backoff', 'somebody could not be told', 'coffre notify test tries each channel and says what is wrong with it'),
  E_LEDGER_PURGED: kind(
    1,
    'never',
    'the rows of that time are not in the ledger any more',
    'detail is kept for 12 months; statements, opening balances and the anchors of each day stay',
  ),
  // 2: usage or configuration
  E_USAGE: kind(2, 'never', 'the command line is wrong', 'see --help'),
  E_CONFIG: kind(2, 'operator', 'the configuration is wrong', 'correct the named line; config/coffre.example.yaml documents every key'),
  E_CONFIG_MISSING: kind(2, 'operator', 'no configuration file', 'run coffre init, or name one with --config'),
  E_SECRET_MODE: kind(
    2,
    'operator',
    'a secret file can be read by others',
    'chmod 600 the file and make its owner the user coffre runs as',
  ),
  E_SECRET_MISSING: kind(
    2,
    'operator',
    'a secret is missing or empty',
    'create the file, or give the secret by systemd credential or environment',
  ),
  E_KEY: kind(2, 'operator', 'a key file is missing or damaged', 'run coffre doctor to see which; restore it from the recovery kit'),
  E_LOCK_CEILING: kind(
    2,
    'operator',
    'a lock would last longer than the configured ceiling',
    'shorten the retention or raise limits.lockCeiling knowingly: a COMPLIANCE lock cannot be undone',
  ),
  E_UNKNOWN_SHOP: kind(2, 'never', 'no such shop', 'coffre status lists the shops; they are declared under shops:'),
  E_UNKNOWN_SNAPSHOT: kind(2, 'never', 'no such snapshot', 'coffre snapshots SHOP lists them'),
  E_UNKNOWN_VAULT: kind(2, 'never', 'no such vault', 'vaults are declared under vaults:'),
  E_UNKNOWN_TOKEN: kind(2, 'never', 'no such token in force', 'coffre token list shows them'),
  E_UNKNOWN_CONTRACT: kind(2, 'never', 'no such contract', 'contracts are declared under contracts:'),
  E_UNKNOWN_STATEMENT: kind(2, 'never', 'no such statement was issued', 'coffre billing statements lists those that were'),
  E_UNKNOWN_CORRECTION: kind(2, 'never', 'no such correction was made', 'coffre billing statements lists those that wait'),
  E_STATEMENT_INDEX: kind(
    2,
    'operator',
    'a statement needs an index value that nobody has entered',
    'add it to index.values of the contract, with the day from which it counts',
  ),
  E_UNKNOWN_RUN: kind(2, 'never', 'no such run', 'coffre run list shows them'),
  E_UNKNOWN_REQUEST: kind(2, 'never', 'no such restore request', 'coffre request list shows them'),
  E_NOT_FOUND: kind(2, 'never', 'there is no such thing', 'the list of its kind (drill, hold, incident, breach …) shows what there is'),
  // 3: the source cannot be read
  E_DB_CONNECT: kind(3, 'backoff', 'the database server does not answer', 'check host, port or socketPath, and that the server runs'),
  E_DB_AUTH: kind(3, 'operator', 'the database refused the user or password', 'check user and passwordFile of the shop'),
  E_DB_PRIVILEGE: kind(3, 'operator', 'the database user lacks a privilege', 'run the GRANT that coffre doctor SHOP prints'),
  E_FILES_STUCK: kind(
    3,
    'operator',
    'a file system of the shop does not answer',
    'find the mount that hangs below its root (df, dmesg); restart coffre once it answers, for the thread that waits for it is lost',
  ),
  E_DB_READ: kind(3, 'backoff', 'the dump failed while reading', 'run it again; the server log says more'),
  E_DB_CHANGED: kind(
    3,
    'backoff',
    'a table was altered, or taken by the shop, during the dump',
    'run it again; if tables are being migrated, when that is over',
  ),
  E_DB_BUSY: kind(
    3,
    'backoff',
    'the database server was too busy for too long',
    'run it at a quieter hour, or raise database.limits.maxRunningQueries of the shop',
  ),
  E_FILES_ROOT: kind(3, 'operator', 'the shop’s file tree cannot be read', 'check files.root and the rights of the user coffre runs as'),
  E_FILES_READ: kind(3, 'backoff', 'reading the file tree failed', 'run it again; the message says what tar said'),
  E_INCOMPLETE: kind(
    8,
    'backoff',
    'something could not be read: the snapshot is kept but is not good',
    'the result names each file; give coffre the right to read it or exclude it',
  ),
  E_TOOL_MISSING: kind(3, 'operator', 'a program that coffre needs is missing', 'install the named package'),
  E_SSH_CONNECT: kind(3, 'backoff', 'the host does not answer by SSH', 'check host, port and that sshd runs there'),
  E_SSH_HOSTKEY: kind(
    3,
    'operator',
    'the host’s key is not the one in knownHostsFile',
    'compare fingerprints with whoever runs the host before you change knownHostsFile',
  ),
  E_SSH_AUTH: kind(
    3,
    'operator',
    'the host refused the SSH login',
    'check user, keyFile and passphrase, and that the public key is in ~/.ssh/authorized_keys there',
  ),
  E_SSH_LOST: kind(3, 'backoff', 'the SSH connection was lost', 'run it again: it takes up what is already stored'),
  E_SSH_COMMAND: kind(
    3,
    'operator',
    'the host runs no programs for this user',
    'give the user a shell there, without ForceCommand and without a restricting command= in authorized_keys',
  ),
  E_SSH_FORWARD: kind(
    3,
    'operator',
    'the host refuses to forward connections',
    'allow AllowTcpForwarding (for a port) or AllowStreamLocalForwarding (for a socket) in its sshd_config for this user',
  ),
  // 4: a vault cannot be reached
  E_VAULT_UNREACHABLE: kind(4, 'backoff', 'the vault does not answer', 'check endpoint, network and the store'),
  E_VAULT_TIMEOUT: kind(
    4,
    'backoff',
    'the vault took longer than its deadline',
    'the store may be full or overloaded; look at its own status',
  ),
  E_VAULT_AUTH: kind(
    4,
    'operator',
    'the vault refused the credentials',
    'check credentialsFile: key, secret and that they belong to this endpoint',
  ),
  E_VAULT_DENIED: kind(4, 'operator', 'the credential may not do this', 'compare the bucket policy with the one in the README'),
  E_VAULT_SPACE: kind(4, 'operator', 'the vault has no space left', 'free or add space, then run it again: what is stored is taken up'),
  E_VAULT_IO: kind(4, 'backoff', 'the vault failed to read or write', 'look at the store’s log'),
  E_BUCKET_MISSING: kind(
    4,
    'operator',
    'the bucket does not exist',
    'create it with Object Lock: aws s3api create-bucket --object-lock-enabled-for-bucket',
  ),
  // 5: a vault cannot be trusted to lock
  E_NO_OBJECT_LOCK: kind(
    5,
    'operator',
    'the bucket has no Object Lock',
    'Object Lock is given at creation on most stores: make a new bucket with it',
  ),
  E_LOCK_UNPROVEN: kind(5, 'operator', 'the probe could not show that locks hold', 'run coffre doctor: it says which step failed'),
  E_LOCK_DROPPED: kind(
    5,
    'operator',
    'the store did not keep the lock it was given',
    'do not trust this store; the run is not called protected',
  ),
  E_CLOCK_SKEW: kind(
    5,
    'operator',
    'this clock and the store’s differ too much',
    'repair time synchronisation (chrony, systemd-timesyncd); lock dates are absolute',
  ),
  E_CLOCK_JUMP: kind(
    5,
    'operator',
    'our clock may have jumped ahead, and no vault can contradict it',
    'compare date with another clock; where it is right (the machine was off), coffre incident list, coffre incident acknowledge, then again',
  ),
  E_LOCKED: kind(5, 'backoff', 'the object is locked until a later date', 'wait for the date; nothing else can delete it'),
  E_NOT_DELETED: kind(
    5,
    'backoff',
    'the store says that it deleted what it still has',
    'it stays metered, and the next prune tries again; if it stays, ask whoever runs the store',
  ),
  // 6: what was stored is not what is there
  E_OBJECT_MISSING: kind(6, 'operator', 'a stored object is gone', 'restore from another vault and look for who deleted it'),
  E_OBJECT_ALTERED: kind(
    6,
    'operator',
    'a stored object is not what was written',
    'restore from another vault and keep the object as evidence',
  ),
  E_SIGNATURE: kind(
    6,
    'operator',
    'a manifest’s signature does not hold',
    'someone forged it, or the signing key is another one: compare its fingerprint with the paper kit',
  ),
  E_DECRYPT: kind(6, 'operator', 'an object cannot be decrypted with this identity', 'check that the identity is this shop’s'),
  E_FORMAT: kind(6, 'never', 'bytes do not follow coffre’s format', 'the object is damaged or from a newer version'),
  E_LEDGER_ALTERED: kind(
    6,
    'operator',
    'a row of the ledger, an anchor or a statement is not what it was',
    'compare with a copy of the state directory, and find out who wrote there; coffre billing prove names all of it',
  ),
  E_VERSION_FOREIGN: kind(
    6,
    'operator',
    'a version on our key is not ours',
    'someone else wrote into the vault: change the credentials and look at the store’s log',
  ),
  E_INCIDENT: kind(
    6,
    'operator',
    'something in a vault is not as coffre left it',
    'coffre incident list names it; once looked into, coffre incident acknowledge ID --reason TEXT',
  ),
  E_DRILL_COUNTS: kind(
    6,
    'operator',
    'what a drill restored has not the tables, rows or files that the manifest counts',
    'the snapshot in that vault does not give the shop back: coffre drill show names the counts; take a new backup, and drill another vault',
  ),
  E_DRILL_SLOW: kind(
    1,
    'operator',
    'a drill took longer than the plan promises for a restore',
    'coffre drill show says which phase took how long; coffre estimate what would help: a nearer vault, excluded ballast, a faster disk',
  ),
  // 7: busy
  E_BUSY: kind(7, 'backoff', 'another run holds this shop', 'wait for it, coffre status shows it'),
  E_EXPORTS: kind(7, 'backoff', 'this shop has too many exports already', 'download one of them; each goes when its time is over'),
  E_DAEMON_RUNNING: kind(7, 'never', 'a daemon already runs on this state', 'stop the other one first: its supervisor, or ps, shows it'),
  // 9: kept, but not everywhere
  E_DEGRADED: kind(
    9,
    'backoff',
    'the snapshot is not in every required vault',
    'repair the vault: the daemon then copies what it lacks, coffre catch-up does it at once',
  ),
  E_CHECKPOINT: kind(
    9,
    'backoff',
    'the checkpoint of the daemon’s state is not in every vault',
    'repair the vault, then run coffre catalog checkpoint: a machine that is lost meanwhile comes back without its newest ledger and evidence',
  ),
  // 10: the target cannot be written
  E_TARGET_NOT_EMPTY: kind(
    10,
    'never',
    'the target already holds something',
    'choose an empty one; or --overwrite, which replaces what differs (files) or all of it (a database), and keeps it if anything fails before',
  ),
  E_TARGET_WRITE: kind(
    10,
    'backoff',
    'writing the restored data failed',
    'check rights and space of the target; a view refused for lack of rights (1356): its definer has none there, grant them or use --definers strip',
  ),
  E_TARGET_SPACE: kind(10, 'operator', 'the target has no space left', 'free space or choose another target'),
  E_LOAD_MISMATCH: kind(
    10,
    'operator',
    'the server did not load exactly the rows of the manifest',
    'the database is not to be used; the message says table and counts',
  ),
  E_SHOP_CLOSED: kind(
    10,
    'operator',
    'a restore in place failed when the shop was no longer as before: it keeps its maintenance page',
    'once the cause is mended the same restore goes on; or coffre restore SHOP --in-place --rollback',
  ),
  E_RESTORE_REFUSED: kind(
    10,
    'operator',
    'the restore unit does not do what it was asked for',
    'systemd/RIGHTS.md says who may ask for what',
  ),
  E_RESTORE_UNIT: kind(
    10,
    'backoff',
    'the restore unit cannot be reached, or ended before it had an answer',
    'systemctl status coffre-restore.socket; journalctl -u "coffre-restore@*"',
  ),
  E_DRILL_SPACE: kind(
    10,
    'operator',
    'the scratch space has no room for the drill',
    'free space where restore.scratchDir is, or let it be a folder of a larger disk: the message says how much is needed',
  ),
  // 11: state on this machine
  E_STATE: kind(11, 'operator', 'the state directory cannot be used', 'check that stateDir exists, is writable and has space'),
  E_STATE_SPACE: kind(11, 'operator', 'the state directory has no space left', 'free space on the file system of stateDir'),
  E_CATALOG: kind(
    11,
    'operator',
    'the catalog cannot be read',
    'move stateDir aside, then coffre catalog rebuild --from VAULT makes it anew',
  ),
  E_STATE_NOT_EMPTY: kind(
    11,
    'never',
    'there is a catalog already',
    'a rebuild never goes over one: move the state directory away first, if it is really to be made anew',
  ),
  // 12: the shop's life or a hold forbids it
  E_SHOP_STATE: kind(
    12,
    'never',
    'the shop’s state does not allow this',
    'coffre shop list shows the state of every shop; coffre shop resume takes it back',
  ),
  E_REQUEST_STATE: kind(12, 'never', 'a restore request does not allow this as it stands', 'coffre request show ID says how it stands'),
  E_HELD: kind(12, 'operator', 'a legal hold forbids this', 'coffre hold list shows who placed it and why; coffre hold release lifts it'),
  E_STATEMENT_NONE: kind(12, 'never', 'a contract owes nothing for this period', 'start and end of the contract say when it runs'),
  E_STATEMENT_OPEN: kind(12, 'backoff', 'the period of a statement is not over', 'its figures so far can be looked at without issuing it'),
  E_STATEMENT_LATE: kind(
    12,
    'never',
    'statements are issued and corrected until six months after their period',
    'what is owed beyond that is for the parties to agree upon',
  ),
  E_CORRECTION_STATE: kind(
    12,
    'never',
    'a correction that a statement carries stays, and one that was withdrawn is gone',
    'what a statement carries is put right by another correction: coffre billing correct',
  ),
  // 13: the daemon's API refuses the request
  E_RANGE: kind(13, 'never', 'the part of a download that was asked for is beyond its end', 'ask for all of it'),
  E_REQUEST: kind(13, 'never', 'the request is not one that the API understands', '/openapi.json says what it understands'),
  E_TOKEN: kind(13, 'operator', 'a valid token is missing', 'send Authorization: Bearer TOKEN; coffre token create makes one'),
  E_FORBIDDEN: kind(13, 'operator', 'this token may not do that', 'ask an administrator for a token with another role'),
  E_RATE: kind(13, 'backoff', 'too many requests', 'wait as long as Retry-After says'),
  // 14: the daemon could not be asked, or not to the end
  E_DAEMON_UNREACHABLE: kind(14, 'backoff', 'the daemon does not answer', 'systemctl status coffre, and its journal, say why'),
  E_DAEMON_LOST: kind(
    14,
    'backoff',
    'the daemon ended, or was cut off, while a command followed its run',
    'start the daemon again: it takes up what was interrupted; coffre run list shows how the run ended',
  ),
  E_DAEMON_VERSION: kind(
    14,
    'operator',
    'the daemon and this command are of versions that do not understand each other',
    'restart the daemon after an upgrade, or use the command of the daemon’s version',
  ),
  E_DETACHED: kind(14, 'never', 'the command was told to stop, and its run goes on in the daemon', 'coffre run list shows it'),
  // 15: a restored shop is not as it should be
  E_SHOP_GUARD: kind(
    15,
    'operator',
    'the guard that keeps clients out of a shop under restore cannot be put there, or not be taken away',
    'the message names the file; the shop stays closed: coffre restore SHOP --in-place goes on, with --rollback it goes back',
  ),
  E_SHOP_OPEN: kind(
    15,
    'operator',
    'a shop that was closed for a restore still answers its clients',
    'something else answers before index.php is read: a page cache, another web root, or PHP with opcache.validate_timestamps=0 (reload php-fpm); files.page in the configuration says where to ask',
  ),
  E_SHOP_HTTP: kind(
    15,
    'operator',
    'a restored shop does not show its page',
    'the message says what the web server answered; var/logs of the shop and the web server’s error log say why; files.page in the configuration says where to ask',
  ),
  E_SHOP_MARKER: kind(
    15,
    'operator',
    'a restored shop’s page is not the shop’s',
    'look at the page: another site answers under this name, or the text is not on it (files.page in the configuration says which)',
  ),
  E_SHOP_TABLES: kind(
    15,
    'operator',
    'tables of a restored shop are missing',
    'the message names them; take another snapshot of the database',
  ),
  E_SHOP_VERSION: kind(
    15,
    'operator',
    'files and database of a restored shop are of different versions of PrestaShop',
    'take snapshots of files and database from the same side of the upgrade',
  ),
  E_SHOP_IMAGES: kind(
    15,
    'operator',
    'images that a restored database names are not among the files',
    'the message says how many; take a newer snapshot of the files, or both of the same day',
  ),
  E_SHOP_PRODUCTS: kind(
    15,
    'operator',
    'a restored shop has no products, or far fewer than it should',
    'take another snapshot of the database',
  ),
  E_SHOP_ORDERS: kind(
    15,
    'operator',
    'the newest order of a restored shop is missing or too old',
    'look whether the snapshot is of the right day, and whether the shop sold anything since',
  ),
  E_SHOP_SETTINGS: kind(
    15,
    'operator',
    'the settings files of a restored shop do not fit its database or this machine',
    'the message says which; --secrets keep takes this machine’s, --secrets archive those of the snapshot',
  ),
  E_SHOP_OWNERS: kind(
    15,
    'operator',
    'folders of a restored shop belong to somebody else than before',
    'chown them as they were; a restore by root sets the owners of the snapshot',
  ),
} as const satisfies Record<string, ErrorKind>;

export type ErrorCode = keyof typeof ERRORS;

/** The one error that crosses a module's border. Its message is lower case, names what and where, and holds no secret. */
export class CoffreError extends Error {
  override readonly name = 'CoffreError';
  readonly code: ErrorCode;
  readonly hint: string;
  /** The path or table that it is about, printable, where something is to be done with just that. */
  readonly where: string | null;

  constructor(code: ErrorCode, message: string, options?: { hint?: string; cause?: unknown; where?: string }) {
    super(message, options?.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options?.hint ?? ERRORS[code].hint;
    this.where = options?.where ?? null;
  }

  get exitStatus(): number {
    return ERRORS[this.code].exit;
  }

  get retry(): RetryClass {
    return ERRORS[this.code].retry;
  }
}

/** `error` itself when it is ours, else an E_INTERNAL (or `code`) that carries it as cause. A full disk is E_STATE_SPACE. */
export function asCoffreError(error: unknown, code: ErrorCode = 'E_INTERNAL', what?: string): CoffreError {
  if (error instanceof CoffreError) return error;
  const text = error instanceof Error ? error.message : String(error);
  if (isNoSpace(error)) return new CoffreError('E_STATE_SPACE', `no space for ${what ?? 'files in stateDir'}: ${text}`, { cause: error });
  return new CoffreError(code, what ? `${what}: ${text}` : text, { cause: error });
}

const SQLITE_FULL = 13;

/** Vaults and targets name their own full disks: one that nobody named is that of our journals, indexes and scratch files. */
function isNoSpace(error: unknown): boolean {
  const { code, errcode } = (error ?? {}) as { readonly code?: unknown; readonly errcode?: unknown };
  return code === 'ENOSPC' || code === 'EDQUOT' || (typeof errcode === 'number' && (errcode & 0xff) === SQLITE_FULL);
}
