// `coffre notify test`: whether those who are to be told at night would be.
import { hostname } from 'node:os';
import { Argument, type Command } from 'commander';
import { asCoffreError, CoffreError } from '../errors.ts';
import { newId } from '../segment/id.ts';
import { action, type CliContext } from './context.ts';
import { table } from './output.ts';

const CHANNELS = ['mail', 'webhook', 'ping'] as const;
type Name = (typeof CHANNELS)[number];

const HELP = `
A test goes to every configured channel, or to the one that is named; nothing is written down, and the daemon is not needed. The test
of a ping is the call that says that all is well.

Example:
  coffre notify test
  coffre notify test mail
`;

export function registerNotify(program: Command, context: CliContext): void {
  program
    .command('notify')
    .description('those who are told when something turns red')
    .command('test')
    .description('send a test by every configured channel; exit status 1 when one fails')
    .addArgument(new Argument('[channel]', 'only this one').choices([...CHANNELS]))
    .addHelpText('after', HELP)
    .action(
      action(context, async (invocation, only: Name | undefined) => {
        const { file, notify, timezone } = invocation.config();
        const names = CHANNELS.filter((name) => (only === undefined ? notify[name] !== null : name === only));
        if (names.length === 0 || (only !== undefined && notify[only] === null)) {
          throw new CoffreError(
            'E_CONFIG',
            `${only ?? 'no channel'} is ${only === undefined ? '' : 'not '}configured: nobody would be told`,
            {
              hint: `declare mail, webhook or ping under notify: in ${file}`,
            },
          );
        }
        const { clock } = context;
        const [{ send }, { testMessage }, { sendPing }] = await Promise.all([
          import('../notify/channels.ts'),
          import('../notify/message.ts'),
          import('../notify/ping.ts'),
        ]);
        const message = testMessage({ id: newId(clock), nowMs: clock.nowMs(), host: hostname(), timezone });
        const results = await Promise.all(
          names.map(async (channel) => {
            try {
              if (channel !== 'ping') await send(clock, notify, channel, message, invocation.signal);
              else if (notify.ping) await sendPing(clock, notify.ping, false, invocation.signal);
              return { channel, ok: true, error: null };
            } catch (thrown) {
              const { code, hint, message: said } = asCoffreError(thrown, 'E_NOTIFY');
              return { channel, ok: false, error: { code, message: said, hint } };
            }
          }),
        );
        const failed = results.filter(({ ok }) => !ok);
        return {
          document: { channels: results },
          text: table(
            [{ title: '' }, { title: 'channel' }, { title: 'result' }],
            results.map(({ channel, error, ok }) => [
              ok ? 'green' : 'RED',
              channel,
              error ? `${error.message} [${error.code}]` : 'handed over',
            ]),
          ),
          ...(failed.length === 0
            ? {}
            : {
                failure: new CoffreError('E_NOTIFY', `${failed.map(({ channel }) => channel).join(' and ')} did not take the test`, {
                  hint: 'each red line says why; coffre errors CODE, with the code in it, says what to do',
                }),
              }),
        };
      }),
    );
}
