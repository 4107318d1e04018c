// `coffre daemon`: the scheduler and the API in the foreground, until it is told to stop.
import type { Command } from 'commander';
import { loadConfig } from '../../config/load.ts';
import type { LogLevel } from '../../events.ts';
import { runDaemon } from '../../schedule/daemon.ts';
import { action, type CliContext } from '../context.ts';
import { createLogger, writesToJournal } from '../log.ts';
import { coffreVersion, toolVersions } from '../tools.ts';
import { systemdNotifier } from './notify-systemd.ts';

const HELP = `
SIGTERM stops it: what is under way gets some seconds to end, the rest is taken up at the next start. SIGHUP (or coffre reload)
makes it read its configuration again; a wrong one is refused, and the old one stays in force. SIGUSR2 makes it log debug, and back.

Example:
  coffre --config /etc/coffre/coffre.yaml daemon
`;

export function registerDaemon(program: Command, context: CliContext): void {
  program
    .command('daemon')
    .description('run the schedules and the API in the foreground (systemd runs this); SIGTERM stops it, SIGHUP reloads its configuration')
    .addHelpText('after', HELP)
    .action(
      action(context, async (invocation) => {
        const config = invocation.config();
        const { adapters, clock, io } = context;
        // a daemon's log is what it is read by: more than the warnings that are enough beside a command's result
        const level = program.getOptionValue('logLevel') as LogLevel | undefined;
        const log = createLogger(level ?? 'info', { journal: writesToJournal(io.env) });
        const supervisor = systemdNotifier(io.env, clock);
        const { toggleDebug } = await import('../../http/log-level.ts');
        io.onUser2(() => toggleDebug(log, level ?? 'info', 'SIGUSR2'));
        const { TroubleNotifier } = await import('../../notify/trouble.ts');
        const trouble = new TroubleNotifier({ config, clock, log });
        try {
          const clean = await runDaemon(
            {
              ...{ config, clock, log, supervisor, ports: adapters },
              loadConfig: () => loadConfig(invocation.configFile, io.env),
              version: await coffreVersion(),
              tools: await toolVersions(),
              onHangup: (listener) => io.onHangup(listener),
              openDoors: async (service) => {
                const { startHttp } = await import('../../http/server.ts');
                const { startNotifier } = await import('../../notify/start.ts');
                const { startIssuing } = await import('../../schedule/issue-statements.ts');
                const http = await startHttp(service);
                try {
                  const notifier = await startNotifier(service);
                  const issuing = startIssuing(service);
                  return { close: async () => void (await Promise.all([notifier.close(), issuing.close(), http.close()])) };
                } catch (error) {
                  await http.close();
                  throw error;
                }
              },
              onTrouble: (error, signal) => (error === null ? trouble.green(signal) : trouble.red(error, signal)),
            },
            invocation.signal,
          );
          return { document: { stopped: true, interrupted: !clean }, text: '' };
        } finally {
          supervisor.close();
        }
      }),
    );
}
