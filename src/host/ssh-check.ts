// What doctor says about a host reached over SSH: its key, the login, and what coffre needs there.
import { type Clock, withDeadline } from '../clock.ts';
import { CoffreError } from '../errors.ts';
import type { Host } from './host.ts';

/** One line of doctor. */
export interface HostFinding {
  readonly name: string;
  readonly ok: boolean;
  readonly detail: string;
  readonly hint?: string;
}

export interface HostNeeds {
  /** Files are read or written there; null: none are. */
  readonly root: string | null;
  /** Where its database is, as seen from there; null: none, or not known yet. */
  readonly database: { readonly host: string; readonly port: number } | { readonly socketPath: string } | null;
}

const LONGEST_ANSWER_BYTES = 64 * 1024;
const ANSWER_LIMIT_MS = 20_000;

/** In the order in which things are needed; what cannot be asked any more is left out. Never throws. */
export async function checkSshHost(host: Host, needs: HostNeeds, clock: Clock): Promise<readonly HostFinding[]> {
  const findings: HostFinding[] = [];
  const login = await ask(host, ['uname', '-sr'], clock);
  if (login.error !== null) {
    const { code, message, hint } = login.error;
    if (code === 'E_SSH_HOSTKEY') return [{ name: 'host key', ok: false, detail: message, hint }];
    if (code === 'E_SSH_CONNECT' || code === 'E_SSH_LOST') return [{ name: 'connection', ok: false, detail: message, hint }];
    findings.push({ name: 'host key', ok: true, detail: 'is the known one' });
    if (code !== 'E_SSH_COMMAND') return [...findings, { name: 'login', ok: false, detail: message, hint }];
    findings.push({ name: 'login', ok: true, detail: host.name });
    findings.push({ name: 'programs', ok: false, detail: message, hint });
  } else {
    findings.push({ name: 'host key', ok: true, detail: 'is the known one' });
    findings.push({ name: 'login', ok: true, detail: `${host.name}, ${login.text.trim()}` });
    if (needs.root !== null) findings.push(...(await checkTools(host, clock)), await checkDisk(host, needs.root, clock));
  }
  if (needs.database !== null) findings.push(await checkForwarding(host, needs.database, clock));
  return findings;
}

async function checkTools(host: Host, clock: Clock): Promise<HostFinding[]> {
  const check = async (program: string, made: RegExp): Promise<HostFinding> => {
    const { text, error } = await ask(host, [program, '--version'], clock);
    const version = made.exec(text)?.[1];
    if (version !== undefined) return { name: program, ok: true, detail: `GNU ${program} ${version}` };
    const detail = error === null ? `${program} there is not GNU ${program}` : error.message;
    const hint = `install GNU ${program} there (apk add ${program === 'find' ? 'findutils' : program}); without it files are read by SFTP, slowly`;
    return { name: program, ok: false, detail, hint };
  };
  return await Promise.all([check('tar', /^tar \(GNU tar\) (\S+)/), check('find', /^find \(GNU findutils\) (\S+)/)]);
}

async function checkDisk(host: Host, root: string, clock: Clock): Promise<HostFinding> {
  const { text, error } = await ask(host, ['df', '-Pk', '--', root], clock);
  const [, totalKiB, , freeKiB] = /\n\S.*?\s(\d+)\s+(\d+)\s+(\d+)\s+\d+%/.exec(text) ?? [];
  if (error !== null || totalKiB === undefined || freeKiB === undefined) {
    const hint = 'check files.root of the shop, and that the user may enter it';
    return { name: 'disk', ok: false, detail: error?.message ?? `df says nothing about ${root}`, hint };
  }
  const gb = (kib: string): string => `${((Number(kib) * 1024) / 1e9).toFixed(1)} GB`;
  return { name: 'disk', ok: true, detail: `${root}: ${gb(freeKiB)} of ${gb(totalKiB)} free` };
}

async function checkForwarding(host: Host, to: NonNullable<HostNeeds['database']>, clock: Clock): Promise<HostFinding> {
  const where = 'socketPath' in to ? to.socketPath : `${to.host}:${to.port}`;
  const stream = host.connect(to);
  try {
    const connected = (): Promise<void> => new Promise((resolve, reject) => stream.once('connect', resolve).once('error', reject));
    await withDeadline(clock, ANSWER_LIMIT_MS, () => new Error(`no answer from ${where} within ${ANSWER_LIMIT_MS / 1000} s`), connected);
    return { name: 'forwarding', ok: true, detail: `to ${where}` };
  } catch (error) {
    const hint = error instanceof CoffreError ? error.hint : 'check host, port or socketPath of the database, as seen from that host';
    return { name: 'forwarding', ok: false, detail: (error as Error).message, hint };
  } finally {
    stream.on('error', () => {}).destroy();
  }
}

async function ask(host: Host, argv: readonly string[], clock: Clock): Promise<{ text: string; error: CoffreError | null }> {
  let text = '';
  let said = '';
  const late = (): CoffreError =>
    new CoffreError('E_SSH_LOST', `${host.name}: ${argv[0]} gave no answer within ${ANSWER_LIMIT_MS / 1000} s`);
  try {
    const { status, lost } = await withDeadline(clock, ANSWER_LIMIT_MS, late, (signal) => {
      const program = host.start(argv, signal);
      program.stdin.end();
      program.stderr.setEncoding('utf8').on('data', (chunk: string) => {
        said = (said + chunk).slice(0, LONGEST_ANSWER_BYTES);
      });
      program.stdout.setEncoding('utf8').on('data', (chunk: string) => {
        text = (text + chunk).slice(0, LONGEST_ANSWER_BYTES);
      });
      return program.ended;
    });
    if (lost) throw new CoffreError('E_SSH_LOST', `${host.name}: the connection was lost`);
    if (status !== 0) {
      // a login script may have spoken before it
      const own = said.split('\n').find((line) => line.startsWith(`${argv[0]}: `));
      throw new CoffreError('E_SSH_COMMAND', `${host.name}: ${own ?? `${argv[0]} ended with status ${status}`}`, {
        hint: `try it there: ${argv.join(' ')}`,
      });
    }
    return { text, error: null };
  } catch (error) {
    return { text, error: error instanceof CoffreError ? error : new CoffreError('E_SSH_CONNECT', String(error), { cause: error }) };
  }
}
