// `coffre request`: restores that are asked for, approved and followed, by a shop's owner and by operators, through the daemon or without one.
import { type Command, InvalidArgumentError, Option } from 'commander';
import { CoffreError } from '../../errors.ts';
import { REQUEST_STATES } from '../../restore/request-life.ts';
import { RESTORED_SOURCES, type RestoredKind, type Wanted } from '../../restore/request-preview.ts';
import type { DeskVerb } from '../../schedule/request-desk.ts';
import { action, type CliContext, type Invocation, unitAction } from '../context.ts';
import { parseInstant } from '../instant.ts';
import type { Result } from '../output.ts';
import { keptWords } from '../reason.ts';
import { type Desk, openDesk, type RequestInFull, type RequestQuery } from './desk.ts';
import { failureOf, followRequest } from './follow.ts';
import { describePreview, describeRequest, listText, nextText } from './text.ts';

interface RestoreOptions {
  readonly at?: string;
  readonly source: readonly RestoredKind[];
  readonly table: readonly string[];
  readonly path: readonly string[];
  readonly approve?: boolean;
  readonly reason?: string;
  readonly dryRun?: boolean;
  readonly wait?: boolean;
  readonly follow?: boolean;
}

const RESTORE_HELP = `
What would be restored is shown first. At a terminal you are then asked; elsewhere --approve says yes. An owner's approval starts the
work and the clock of the promise. What an operator asks for waits for the owner's approval; in an emergency an operator approves it in
the owner's name, and says why. An owner sets COFFRE_URL and COFFRE_TOKEN_FILE, and uses the same commands from anywhere.

Example:
  coffre request restore dupont --dry-run
  coffre request restore dupont --at 2026-11-20T04:00 --approve --follow
  coffre request restore dupont --path img/p --approve
  coffre request restore dupont --approve --reason "owner called, cannot reach the API"
`;

export function registerRequest(program: Command, context: CliContext): void {
  const request = program.command('request').description('restores that are asked for: ask, approve, follow, hold, refuse');
  request
    .command('restore')
    .description('ask for a restore of a shop into its own place; what that means is shown first')
    .argument('<shop>', 'the shop')
    .option('--at <time>', 'as it was at this time (RFC 3339, or a date and time of this zone); default: the newest')
    .addOption(collected('--source <source>', 'only this source, database or files (may be given again); default: both', sourceOf))
    .addOption(collected('--table <name>', 'only this table of the database (may be given again)'))
    .addOption(collected('--path <pattern>', 'only files that match, inside the shop’s tree (may be given again): img/p, config/*.php'))
    .option('--approve', 'at once: the owner’s yes; an operator’s, in the owner’s name, needs --reason')
    .option('--reason <text>', 'why, for the record', keptWords)
    .option('--dry-run', 'show what it would mean, and ask for nothing')
    .option('--follow', 'show how it goes until it is over')
    .option('--wait', 'the same as --follow')
    .addHelpText('after', RESTORE_HELP)
    .action(action(context, (invocation, shop: string, options: RestoreOptions) => restore(context, invocation, shop, options)));
  request
    .command('list')
    .description('restore requests, newest first')
    .argument('[shop]', 'only of this shop')
    .addOption(new Option('--state <state>', 'only in this state').choices([...REQUEST_STATES]))
    .option('--limit <number>', 'at most so many', atMost, 20)
    .addHelpText('after', '\nExample:\n  coffre request list\n  coffre request list dupont --state requested\n')
    .action(
      action(context, async (invocation, shop: string | undefined, options: Omit<RequestQuery, 'shop'>) => {
        await using desk = await openDesk(context, invocation);
        const requests = await desk.list({ shop, state: options.state, limit: options.limit });
        return { document: { requests }, text: listText(requests, invocation.timezone(), desk.role) };
      }),
    );
  request
    .command('show')
    .description('one request: what it restores, its clock, its history; --follow: live, until it is over')
    .argument('<id>', 'of the request')
    .option('--follow', 'show how it goes until it is over; the exit status is then the restore’s')
    .option('--wait', 'the same as --follow')
    .addHelpText('after', '\nExample:\n  coffre request show 01k9v3n0t3f8z6j2q4h5y7w1cd --follow\n')
    .action(
      action(context, async (invocation, id: string, options: Pick<RestoreOptions, 'follow' | 'wait'>) => {
        await using desk = await openDesk(context, invocation);
        if (options.follow || options.wait) return await followed(context, invocation, desk, id);
        return shown(invocation, desk, await desk.show(id));
      }),
    );
  const verb = (name: DeskVerb, description: string, help: string, reason: 'needed' | 'optional'): void => {
    const command = request.command(name).description(description).argument('<id>', 'of the request');
    if (reason === 'needed') command.requiredOption('--reason <text>', 'why: it is told to the shop’s owner, and kept', keptWords);
    else command.option('--reason <text>', 'why, for the record', keptWords);
    command.addHelpText('after', `\nExample:\n  ${help}\n`).action(
      action(context, async (invocation, id: string, options: Pick<RestoreOptions, 'reason'>) => {
        await using desk = await openDesk(context, invocation);
        return shown(invocation, desk, await desk.act(id, name, options.reason ?? null));
      }),
    );
  };
  const id = '01k9v3n0t3f8z6j2q4h5y7w1cd';
  verb(
    'approve',
    'the owner’s yes: work and clock begin; an operator’s is in the owner’s name, for an emergency, and needs --reason',
    `coffre request approve ${id}\n  coffre request approve ${id} --reason "owner confirmed by telephone, 10:42"`,
    'optional',
  );
  request
    .command('run')
    .description('as root: restore what is approved now, where the daemon may not begin it by itself (restore.unattended)')
    .argument('<id>', 'of the request; one that failed is tried again')
    .addHelpText('after', `\nExample:\n  coffre request run ${id}\n`)
    .action(runAction(context));
  verb(
    'hold',
    'let it wait; the clock of one that is approved goes on',
    `coffre request hold ${id} --reason "disk is being replaced"`,
    'needed',
  );
  verb('release', 'end a hold', `coffre request release ${id}`, 'optional');
  verb('refuse', 'do not restore', `coffre request refuse ${id} --reason "the shop moved away"`, 'needed');
  verb(
    'cancel',
    'call it off, as long as it has not begun, or once it failed (not while its restore is open: restore --rollback ends both)',
    `coffre request cancel ${id}`,
    'optional',
  );
  verb('retry', 'try one again that failed: the clock went on meanwhile', `coffre request retry ${id}`, 'optional');
}

/** In the restore unit, which alone may write into shops: elsewhere the command line is handed over. */
function runAction(context: CliContext): (...args: unknown[]) => Promise<void> {
  return unitAction(context, async (invocation, _adapters, id: string) => {
    const { runApproved } = await import('./run.ts');
    const request = await runApproved(context, invocation, id);
    return { document: { request }, text: describeRequest(request, invocation.timezone(), 'operator') };
  });
}

/** An option that may be given again; none given is an empty list. */
function collected<T = string>(flags: string, description: string, parse?: (value: string) => T): Option {
  const option = new Option(flags, description).default([], 'all');
  return option.argParser((value: string, all: (T | string)[]) => [...all, parse ? parse(value) : value]);
}

function sourceOf(text: string): RestoredKind {
  const found = RESTORED_SOURCES.find((source) => source === text);
  if (found === undefined) throw new InvalidArgumentError(`Allowed choices are ${RESTORED_SOURCES.join(', ')}.`);
  return found;
}

function atMost(text: string): number {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1 || number > 1000) throw new InvalidArgumentError('from 1 to 1000');
  return number;
}

async function restore(context: CliContext, invocation: Invocation, shop: string, options: RestoreOptions): Promise<Result> {
  const { io } = context;
  await using desk = await openDesk(context, invocation);
  const zone = invocation.timezone();
  const wanted: Wanted = {
    // with the offset of this zone: what is said of it is said in the same
    at: options.at === undefined ? null : parseInstant(options.at, zone).toZonedDateTimeISO(zone).toString({ timeZoneName: 'never' }),
    sources: options.source.length > 0 ? [...new Set(options.source)] : null,
    ...{ tables: [...options.table], paths: [...options.path] },
  };
  const preview = await desk.preview(shop, wanted);
  const text = describePreview(preview, zone, desk.role);
  if (options.dryRun) return { document: { preview }, text };
  const isAsked = !invocation.json && !options.approve && io.stdin.isTTY === true && io.stderr.isTTY === true;
  if (isAsked) io.err(`${text}\n\n`);
  const approve = options.approve === true || (isAsked && (await isApproved(context, desk, shop)));
  const reason = options.reason ?? null;
  if (approve && desk.role === 'operator' && reason === null) {
    throw new CoffreError('E_USAGE', 'an operator’s approval is in the owner’s name: it needs --reason TEXT', {
      hint: 'without --approve the request waits for the owner',
    });
  }
  const made = await desk.open({ shop, wanted, approve, reason });
  if (options.follow || options.wait) return await followed(context, invocation, desk, made.id);
  return shown(invocation, desk, made);
}

/** The owner's yes, with the shop's name: it replaces what is there. Throws E_CANCELLED when an operator would not even ask. */
async function isApproved({ io }: CliContext, desk: Desk, shop: string): Promise<boolean> {
  const { openQuestions } = await import('../questions.ts');
  using questions = openQuestions(io);
  if (desk.role === 'client') {
    io.err('The shop is closed to its visitors meanwhile, and what it took in since is lost. A copy of its present state is made first.\n');
    return (await questions.ask(`Restore it now? Type ${shop} to approve, or nothing to ask without approving`, '')) === shop;
  }
  const answer = await questions.ask('Ask the owner for their approval? yes or no', 'yes');
  if (/^y/i.test(answer)) return false;
  throw new CoffreError('E_CANCELLED', 'nothing was asked for', { hint: '' });
}

function shown(invocation: Invocation, desk: Desk, request: RequestInFull): Result {
  const { hasDaemon, role } = desk;
  const next = nextText(request, { hasDaemon, role });
  return {
    document: { request },
    text: [describeRequest(request, invocation.timezone(), role), ...(next === null ? [] : [next])].join('\n'),
  };
}

async function followed(context: CliContext, invocation: Invocation, desk: Desk, id: string): Promise<Result> {
  const request = await followRequest(desk, invocation, context.clock, id);
  const failure = failureOf(request);
  return { ...shown(invocation, desk, request), ...(failure ? { failure } : {}) };
}
