// `coffre restore-unit`: what systemd starts for each connection to coffre-restore.socket. First as root, then as whoever may write what is asked for.
import { readFileSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { type Command, Option } from 'commander';
import type { Clock, Timer } from '../../clock.ts';
import { withDeadline } from '../../clock.ts';
import type { Config } from '../../config/config.ts';
import { loadConfig } from '../../config/load.ts';
import { asCoffreError, CoffreError } from '../../errors.ts';
import {
  ALIVE_EVERY_MS,
  failureEvent,
  LONGEST_REQUEST_BYTES,
  parseRequest,
  type RestoreEvent,
  type UnitRequest,
  type UnitRequestKind,
} from '../../restore/unit-protocol.ts';
import type { RestoreAdapters } from '../adapters.ts';
import type { CliContext } from '../context.ts';
import { drillTask } from './drill.ts';
import { exportTask } from './export.ts';
import { filesTask } from './files.ts';
import { inPlaceTask } from './in-place.ts';
import type { UnitTask } from './task.ts';

/** A request is sent at once or not at all. */
const REQUEST_WITHIN_MS = 10_000;
/** Between two reports of progress. */
const REPORT_EVERY_MS = 500;
const SETPRIV = '/usr/bin/setpriv';

/** What the unit does, by the kind of the request. */
const TASKS: { readonly [K in UnitRequestKind]: UnitTask<Extract<UnitRequest, { readonly kind: K }>> } = {
  files: filesTask,
  drill: drillTask,
  export: exportTask,
  'in-place': inPlaceTask,
};

const taskOf = <R extends UnitRequest>({ kind }: R): UnitTask<R> => TASKS[kind] as unknown as UnitTask<R>;

export function registerRestoreUnit(program: Command, context: CliContext): void {
  program
    .command('restore-unit', { hidden: true })
    .description('serve one restore request on standard input (systemd runs this, for coffre-restore.socket)')
    .argument('<instance>', 'name of the unit’s instance, which ends with the uid of whoever asked')
    .addOption(new Option('--as-owner <request>', 'the request, once this process has become who serves it').hideHelp())
    .addHelpText('after', '\nExample:\n  systemctl start coffre-restore.socket\n')
    .action(async (instance: string, options: { readonly asOwner?: string }) => {
      if (!context.restore.here) return context.restore.become();
      const { adapters } = context.restore;
      const tell = (event: RestoreEvent): void => context.io.out(`${JSON.stringify(event)}\n`);
      try {
        const file = program.getOptionValue('config') as string | undefined;
        if (file === undefined) throw new CoffreError('E_USAGE', 'restore-unit needs --config');
        const config = loadConfig(file, context.io.env);
        if (options.asOwner === undefined) return await becomeOwner(context, config, file, instance);
        tell({ event: 'done', result: await serve(context, adapters, config, parseRequest(options.asOwner), tell) });
        context.io.setExitStatus(0);
      } catch (error) {
        const failure = asCoffreError(error);
        tell(failureEvent(failure));
        context.io.setExitStatus(failure.exitStatus);
      }
    });
}

/** As root: reads the request, and becomes who serves it before anything but the configuration is opened. Never returns. */
async function becomeOwner({ io, clock }: CliContext, config: Config, file: string, instance: string): Promise<never> {
  const line = await withDeadline(
    clock,
    REQUEST_WITHIN_MS,
    () => new CoffreError('E_RESTORE_REFUSED', 'no request came'),
    () => firstLine(io.stdin),
    io.signal,
  );
  const request = parseRequest(line);
  const owner = taskOf(request).admit(config, request, uidOfPeer(instance));
  const groups = isNamed(owner.uid) ? '--init-groups' : '--clear-groups';
  const capabilities = ['inh-caps', 'ambient-caps', 'bounding-set'].map((set) => `--${set}=-all,+dac_read_search`);
  // no_setuid_fixup: access(2), which SQLite asks for the files beside the catalog, then counts the capability too
  const identity = [
    `--reuid=${owner.uid}`,
    `--regid=${owner.gid}`,
    groups,
    '--securebits=+no_setuid_fixup',
    ...capabilities,
    '--no-new-privs',
  ];
  const command = ['--config', file, 'restore-unit', instance, '--as-owner', JSON.stringify(request)];
  const self = [process.execPath, ...process.execArgv, process.argv[1] as string, ...command];
  process.execve?.(SETPRIV, [SETPRIV, ...identity, '--', ...self], process.env);
  throw new CoffreError('E_TOOL_MISSING', `${SETPRIV} cannot be started`, { hint: 'apt-get install util-linux' });
}

/** The last part of `N-PID-UID`, as Accept=yes names instances. Throws E_RESTORE_REFUSED when it says nothing. */
export function uidOfPeer(instance: string): number {
  const uid = /^\d+-(?:.*-)?(\d+)$/.exec(instance)?.[1];
  if (uid === undefined) throw new CoffreError('E_RESTORE_REFUSED', 'systemd does not say who asked');
  return Number(uid);
}

/** As who serves it, until nobody waits for it any more; the same request goes on then, as after any interruption. */
async function serve(
  { io, clock }: CliContext,
  adapters: RestoreAdapters,
  config: Config,
  request: UnitRequest,
  tell: (event: RestoreEvent) => void,
): Promise<object> {
  const gone = new AbortController();
  const leave = (): void => gone.abort(new CoffreError('E_INTERRUPTED', 'whoever asked for the restore is gone'));
  io.stdin.on('end', leave).on('close', leave).resume();
  // a line to nobody would end this process before it has removed what it made
  const say = (event: RestoreEvent): void => {
    if (!gone.signal.aborted) tell(event);
  };
  using _life = signsOfLife(clock, () => say({ event: 'alive' }));
  try {
    return await taskOf(request).serve(
      {
        ...{ clock, config, adapters, signal: AbortSignal.any([io.signal, gone.signal]) },
        onStep: (step) => say({ event: 'step', step }),
        onProgress: throttled(clock, (progress) => say({ event: 'progress', progress })),
        onProblem: (snapshot, { vault, key, code, message }) => say({ event: 'damaged', problem: { snapshot, vault, key, code, message } }),
      },
      request,
    );
  } finally {
    // its end would be taken for that of whoever asked
    io.stdin.off('end', leave).off('close', leave).destroy();
  }
}

/** At once, and again and again until it is disposed of. */
function signsOfLife(clock: Clock, give: () => void): Disposable {
  let timer: Timer;
  const live = (): void => {
    give();
    timer = clock.after(ALIVE_EVERY_MS, live);
  };
  live();
  return { [Symbol.dispose]: () => timer.cancel() };
}

async function firstLine(input: Readable): Promise<string> {
  let text = '';
  for await (const chunk of input) {
    text += String(chunk);
    const end = text.indexOf('\n');
    if (end >= 0) return text.slice(0, end);
    if (text.length > LONGEST_REQUEST_BYTES) break;
  }
  throw new CoffreError('E_RESTORE_REFUSED', 'the connection ended before a request came, or it is too long to be one');
}

/** Whether the system has a name for it, and so a list of its groups. */
function isNamed(uid: number): boolean {
  return readFileSync('/etc/passwd', 'latin1')
    .split('\n')
    .some((line) => line.split(':')[2] === String(uid));
}

function throttled<T>(clock: Clock, tell: (value: T) => void): (value: T) => void {
  let lastMs = Number.NEGATIVE_INFINITY;
  return (value) => {
    const nowMs = clock.monotonicMs();
    if (nowMs - lastMs < REPORT_EVERY_MS) return;
    lastMs = nowMs;
    tell(value);
  };
}
