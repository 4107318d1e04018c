// How far a restore in place has come: a file that outlives kills and power cuts, written before the step it speaks of is done.
import {
  closeSync,
  constants,
  existsSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { acquireLock, lockHolder, type StateLock } from '../catalog/state-lock.ts';
import type { Clock } from '../clock.ts';
import { CoffreError } from '../errors.ts';
import type { ShopState, SwitchState } from '../target/shop.ts';
import type { InPlaceOrder, InPlaceStep, OpenRestore, SafetySnapshots } from './in-place.ts';

/** Inside a shop's tree. Its owner's alone, so no web server hands it out; in no backup, and no restore removes it. */
export const JOURNAL_FOLDER = '.coffre-in-place';
const FILE = 'journal.json';

/**
 * `loading`: database and tree are the old ones. `swapping`: the database is one or the other, its own journal says which. `placing`: the
 * database is the new one, and of the tree any file may be old or new. `finishing`: both are new. `opening`: it was found right, the
 * maintenance page may be off, and nothing goes back any more.
 */
export type InPlaceStage = 'loading' | 'swapping' | 'placing' | 'finishing' | 'opening';

export interface InPlaceState {
  readonly format: 1;
  readonly order: Omit<InPlaceOrder, 'safety'>;
  readonly safety: SafetySnapshots | null;
  readonly stage: InPlaceStage;
  /** It is being rolled back: nothing but that goes on with it. */
  readonly goingBack: boolean;
  /** When the maintenance page came on, epoch ms; null: not yet. */
  readonly closedAt: number | null;
  /** The shop before anything was done to it; null: coffre knows nothing of its kind. */
  readonly before: ShopState | null;
  /** The switch of the restored database, as the snapshot has it; undefined: not read yet. */
  readonly restoredSwitch?: SwitchState;
}

const STEP_OF: Readonly<Record<InPlaceStage, InPlaceStep>> = {
  loading: 'load',
  swapping: 'swap',
  placing: 'swap',
  finishing: 'finish',
  opening: 'check',
};

export function openRestore(state: InPlaceState): OpenRestore {
  const { order, safety, stage, goingBack } = state;
  return { order, safety, step: STEP_OF[stage], swapped: stage !== 'loading', goingBack };
}

/** Whether the order is the one of the journal; by whatever id it comes again. */
export function isSameOrder(state: InPlaceState, order: Omit<InPlaceOrder, 'safety'>): boolean {
  const content = ({ request: _, ...rest }: Omit<InPlaceOrder, 'safety'>): string => JSON.stringify(rest, Object.keys(FIELDS));
  return content(state.order) === content(order);
}

/** Names in an order, and in what it holds: so that they are compared whatever their order. */
const FIELDS = {
  ...{ shop: 1, database: 1, files: 1, from: 1, checksum: 1, keepSetuid: 1, secrets: 1, domain: 1, maintenance: 1 },
  ...{ snapshot: 1, tables: 1, paths: 1, remove: 1 },
};

/** What the journal says, asked by whoever does nothing; null: nothing is open. Makes nothing. Throws E_STATE for what cannot be read. */
export function peekJournal(folder: string): InPlaceState | null {
  if (!isOurs(folder)) return null;
  let text: string;
  try {
    const fd = openSync(join(folder, FILE), constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      text = readFileSync(fd, 'utf8');
    } finally {
      closeSync(fd);
    }
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw unreadable(folder, cause);
  }
  try {
    const state = JSON.parse(text) as InPlaceState;
    if (state.format === 1 && state.stage in STEP_OF && typeof state.order.shop === 'string') return state;
  } catch {
    // what it holds is not repeated
  }
  throw unreadable(folder, null);
}

/** Whether somebody has it open now. Makes nothing where nothing was begun. Throws E_STATE. */
export async function isAtWork(folder: string): Promise<boolean> {
  if (!isOurs(folder)) return false;
  try {
    const lock = await acquireLock(folder, 'restore');
    lock?.release();
    return lock === null;
  } catch (error) {
    // who had it open has just removed the folder with all that is in it
    if (!isOurs(folder)) return false;
    throw error;
  }
}

export class InPlaceJournal implements Disposable {
  readonly #folder: string;
  readonly #lock: StateLock;

  private constructor(folder: string, lock: StateLock) {
    this.#folder = folder;
    this.#lock = lock;
  }

  /** For as long as this is open no other restore of the shop begins. Throws E_BUSY, E_STATE, E_TARGET_WRITE. */
  static async open(folder: string, shop: string, clock: Clock): Promise<InPlaceJournal> {
    try {
      if (!isOurs(folder)) mkdirSync(folder, { recursive: true, mode: 0o700 });
    } catch (cause) {
      throw new CoffreError('E_TARGET_WRITE', `${folder} cannot be made: ${(cause as NodeJS.ErrnoException).code}`, { cause });
    }
    if (!isOurs(folder))
      throw new CoffreError('E_TARGET_WRITE', `${folder} is no folder of this user alone`, { hint: 'look what it is, and remove it' });
    const lock = await acquireLock(folder, 'restore', { doing: 'a restore in place', clock });
    if (lock) return new InPlaceJournal(folder, lock);
    const holder = await lockHolder(folder, 'restore');
    throw new CoffreError('E_BUSY', `${shop}: another restore in place is running${holder ? ` (process ${holder.pid})` : ''}`, {
      hint: 'wait for it, or stop it',
    });
  }

  read(): InPlaceState | null {
    return peekJournal(this.#folder);
  }

  /** On the disk when it returns. Throws E_TARGET_SPACE, E_TARGET_WRITE. */
  write(state: InPlaceState): void {
    const file = join(this.#folder, FILE);
    try {
      const fd = openSync(`${file}.new`, 'w', 0o600);
      try {
        writeFileSync(fd, `${JSON.stringify(state)}\n`);
        fsyncSync(fd);
      } finally {
        closeSync(fd);
      }
      renameSync(`${file}.new`, file);
      syncFolder(this.#folder);
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException;
      const full = code === 'ENOSPC' || code === 'EDQUOT';
      throw new CoffreError(full ? 'E_TARGET_SPACE' : 'E_TARGET_WRITE', `${file} cannot be written: ${code}`, { cause });
    }
  }

  /** The restore is over, one way or the other. The file goes first: what a kill leaves of the folder then says nothing. */
  remove(): void {
    try {
      rmSync(join(this.#folder, FILE), { force: true });
      syncFolder(this.#folder);
      rmSync(this.#folder, { recursive: true, force: true });
    } catch (cause) {
      throw new CoffreError('E_TARGET_WRITE', `${this.#folder} cannot be removed: ${(cause as NodeJS.ErrnoException).code}`, { cause });
    }
  }

  /** A folder that says nothing goes too. */
  [Symbol.dispose](): void {
    try {
      if (!existsSync(join(this.#folder, FILE))) rmSync(this.#folder, { recursive: true, force: true });
    } finally {
      this.#lock.release();
    }
  }
}

/** A folder of this user and of nobody else; somebody may have put a link, or a folder that others read, in its place. */
function isOurs(folder: string): boolean {
  const stats = lstatSync(folder, { throwIfNoEntry: false });
  return stats?.isDirectory() === true && stats.uid === process.geteuid?.() && (stats.mode & 0o077) === 0;
}

function syncFolder(folder: string): void {
  const fd = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

const unreadable = (folder: string, cause: unknown): CoffreError =>
  new CoffreError('E_STATE', `the journal in ${folder} cannot be read: nobody knows how far a restore of this shop has come`, {
    cause,
    hint: 'it is removed by hand once the shop was looked at: its database, its files, its maintenance page',
  });
