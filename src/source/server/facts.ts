// What a machine says about itself and no file of its tree does: packages, disks, services, network. As text, for whoever rebuilds it.
import type { Clock } from '../../clock.ts';
import { CoffreError } from '../../errors.ts';
import type { Host } from '../../host/host.ts';
import type { Warning } from '../source.ts';
import { FACTS_FOLDER } from './excludes.ts';
import { PROCEDURE } from './procedure.ts';

export interface FactFile {
  /** Below the folder of facts. */
  readonly name: string;
  readonly content: Buffer;
}

export interface Facts {
  readonly files: readonly FactFile[];
  /** What could not be asked. */
  readonly warnings: readonly Warning[];
  /** Such as `Debian GNU/Linux 12 (bookworm)`; null: the machine does not say. */
  readonly system: string | null;
}

interface Question {
  readonly file: string;
  /** The first that is there and answers counts. */
  readonly commands: readonly (readonly string[])[];
  /** Lines in an order of their own: the same machine must give the same bytes. */
  readonly sorted?: true;
  /** Not to be there says that there is nothing to say. */
  readonly optional?: true;
  readonly clean?: (text: string) => string;
}

const DISK_COLUMNS = 'NAME,TYPE,SIZE,FSTYPE,LABEL,UUID,PARTTYPE,PARTLABEL,PARTUUID,MOUNTPOINT,MODEL,SERIAL';
/** Both of the places that cron daemons keep users' tables in. */
const CRONTABS = 'for f in /var/spool/cron/crontabs/* /var/spool/cron/*; do if [ -f "$f" ]; then echo "# $f"; cat "$f"; fi; done';
const withoutCountdown = (text: string): string => text.replace(/ expires \d+sec/g, '');

const QUESTIONS: readonly Question[] = [
  {
    file: 'os-release.txt',
    commands: [
      ['cat', '/etc/os-release'],
      ['cat', '/usr/lib/os-release'],
    ],
  },
  { file: 'kernel.txt', commands: [['uname', '-a']] },
  { file: 'kernel-command-line.txt', commands: [['cat', '/proc/cmdline']], optional: true },
  {
    file: 'packages.txt',
    commands: [
      // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg's own placeholders
      ['dpkg-query', '--show', '--showformat=${binary:Package}\\t${Version}\\t${db:Status-Abbrev}\\n'],
      ['rpm', '-qa', '--queryformat', '%{NAME}\\t%|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}\\t%{ARCH}\\n'],
      ['apk', 'info', '-v'],
      ['pacman', '-Q'],
    ],
    sorted: true,
  },
  {
    file: 'packages-manual.txt',
    commands: [
      ['apt-mark', 'showmanual'],
      ['dnf', '--cacheonly', 'repoquery', '--userinstalled', '--queryformat', '%{name}\\n'],
      ['cat', '/etc/apk/world'],
      ['pacman', '-Qqe'],
    ],
    sorted: true,
  },
  {
    file: 'disks.json',
    commands: [
      ['lsblk', '--json', '--bytes', '--output', DISK_COLUMNS],
      ['lsblk', '--json'],
    ],
  },
  // not from its cache, which remembers disks that are gone
  { file: 'block-devices.txt', commands: [['blkid', '-c', '/dev/null']], sorted: true },
  {
    file: 'volumes-physical.txt',
    commands: [['pvs', '--noheadings', '--units', 'b', '-o', 'pv_name,vg_name,pv_size,pv_uuid']],
    optional: true,
  },
  {
    file: 'volumes-groups.txt',
    commands: [['vgs', '--noheadings', '--units', 'b', '-o', 'vg_name,vg_extent_size,vg_uuid']],
    optional: true,
  },
  {
    file: 'volumes-logical.txt',
    commands: [['lvs', '--noheadings', '--units', 'b', '-o', 'vg_name,lv_name,lv_size,segtype']],
    optional: true,
  },
  { file: 'raid.txt', commands: [['mdadm', '--detail', '--scan']], optional: true },
  { file: 'fstab.txt', commands: [['cat', '/etc/fstab']] },
  // sizes alone: what is used changes with every line of a log. Local ones: a server that is gone would hold it up.
  {
    file: 'file-systems.txt',
    commands: [
      [
        'df',
        '--local',
        '--output=source,fstype,size,target',
        '--exclude-type=tmpfs',
        '--exclude-type=devtmpfs',
        '--exclude-type=overlay',
        '--exclude-type=squashfs',
      ],
      ['cat', '/proc/mounts'],
    ],
  },
  {
    file: 'services.txt',
    commands: [
      ['systemctl', 'list-unit-files', '--state=enabled', '--no-legend', '--no-pager'],
      ['rc-update', 'show'],
      ['ls', '-1', '/etc/rc3.d'],
    ],
    sorted: true,
  },
  { file: 'crontabs.txt', commands: [['sh', '-c', CRONTABS]] },
  {
    file: 'addresses.txt',
    commands: [
      ['ip', '-brief', 'address', 'show'],
      ['ip', 'address', 'show'],
      ['ifconfig', '-a'],
    ],
  },
  {
    file: 'routes.txt',
    commands: [
      ['ip', 'route', 'show'],
      ['route', '-n'],
    ],
    clean: withoutCountdown,
  },
  { file: 'routes-ipv6.txt', commands: [['ip', '-6', 'route', 'show']], optional: true, clean: withoutCountdown },
  {
    file: 'users.txt',
    commands: [
      ['getent', 'passwd'],
      ['cat', '/etc/passwd'],
    ],
  },
  {
    file: 'groups.txt',
    commands: [
      ['getent', 'group'],
      ['cat', '/etc/group'],
    ],
  },
];

/** A login's PATH over SSH often lacks the administrator's programs. `env` answers 127 for a program that is not there. */
const AS_ADMINISTRATOR = ['env', 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'] as const;
const NOT_THERE = 127;
/** A command that hangs on a dead disk or mount must not hold up the backup. */
const PATIENCE_MS = 30_000;
const LARGEST_ANSWER_BYTES = 16 * 1024 * 1024;

/**
 * Asks all there is to ask; what cannot be answered becomes a warning. Equal machines give equal bytes. Throws the signal's reason, and
 * E_SSH_… when the host cannot be reached.
 */
export async function gatherFacts(host: Host, clock: Clock, signal: AbortSignal): Promise<Facts> {
  const files: FactFile[] = [{ name: 'REBUILD.txt', content: Buffer.from(PROCEDURE) }];
  const warnings: Warning[] = [];
  for (const question of QUESTIONS) {
    const answer = await answerOf(host, clock, question.commands, signal);
    const file = question.file;
    if (answer.content !== null) files.push({ name: file, content: tidied(answer.content, question) });
    else if (!question.optional) warnings.push({ kind: 'other', where: `${FACTS_FOLDER}/${file}`, message: answer.why });
  }
  files.push(...(await partitionTables(host, clock, files, signal)));
  files.sort((a, b) => (a.name < b.name ? -1 : 1));
  return { files, warnings, system: systemName(files) };
}

type Answer = { readonly content: Buffer } | { readonly content: null; readonly why: string };

async function answerOf(host: Host, clock: Clock, commands: Question['commands'], signal: AbortSignal): Promise<Answer> {
  let why = '';
  for (const command of commands) {
    const answer = await ask(host, clock, command, signal);
    if (answer.content !== null) return answer;
    // of several, the one that is there and failed says more than those that are not
    if (why === '' || !answer.why.endsWith('is not there')) why = answer.why;
  }
  return { content: null, why };
}

async function ask(host: Host, clock: Clock, command: readonly string[], signal: AbortSignal): Promise<Answer> {
  signal.throwIfAborted();
  const patience = new AbortController();
  const timer = clock.after(PATIENCE_MS, () => patience.abort());
  const program = command[0] as string;
  try {
    const process = host.start([...AS_ADMINISTRATOR, ...command], AbortSignal.any([signal, patience.signal]));
    process.stdin.end();
    let said = '';
    process.stderr.on('data', (chunk: Buffer) => {
      if (said.length < 4096) said += chunk.toString('latin1');
    });
    const content: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of process.stdout) {
      bytes += (chunk as Buffer).length;
      if (bytes > LARGEST_ANSWER_BYTES) {
        process.kill();
        return { content: null, why: `${program} says more than is kept` };
      }
      content.push(chunk as Buffer);
    }
    const { status, lost } = await process.ended;
    signal.throwIfAborted();
    if (lost) throw new CoffreError('E_FILES_READ', `${host.name}: the connection broke while ${program} ran`);
    if (status === 0) return { content: Buffer.concat(content) };
    if (patience.signal.aborted) return { content: null, why: `${program} did not answer within ${PATIENCE_MS / 1000} s` };
    if (status === NOT_THERE) return { content: null, why: `${program} is not there` };
    const [line = ''] = said.trim().split('\n');
    return { content: null, why: `${program} ended with status ${status}${line === '' ? '' : `: ${line.slice(0, 200)}`}` };
  } catch (error) {
    // a host over SSH knows status 127 by itself
    if (!(error instanceof CoffreError) || error.code !== 'E_TOOL_MISSING') throw error;
    return { content: null, why: `${program} is not there` };
  } finally {
    timer.cancel();
  }
}

function tidied(content: Buffer, { sorted, clean }: Question): Buffer {
  // latin1 keeps every byte as it is
  const text = clean ? clean(content.toString('latin1')) : content.toString('latin1');
  if (!sorted) return Buffer.from(text, 'latin1');
  const lines = text.split('\n').filter((line) => line !== '');
  return Buffer.from(`${lines.sort().join('\n')}\n`, 'latin1');
}

/** For each disk with partitions its table, as `sfdisk` takes it back. Without sfdisk, disks.json must do. */
async function partitionTables(host: Host, clock: Clock, files: readonly FactFile[], signal: AbortSignal): Promise<FactFile[]> {
  const tables: FactFile[] = [];
  for (const disk of disksOf(files.find(({ name }) => name === 'disks.json')?.content)) {
    const answer = await ask(host, clock, ['sfdisk', '--dump', `/dev/${disk}`], signal);
    if (answer.content !== null && answer.content.length > 0) tables.push({ name: `partitions-${disk}.sfdisk`, content: answer.content });
  }
  return tables;
}

function disksOf(json: Buffer | undefined): string[] {
  try {
    const { blockdevices } = JSON.parse(json?.toString('utf8') ?? '{}') as { blockdevices?: { name?: unknown; type?: unknown }[] };
    return (blockdevices ?? []).flatMap(({ name, type }) =>
      type === 'disk' && typeof name === 'string' && /^[\w-]+$/.test(name) ? [name] : [],
    );
  } catch {
    return [];
  }
}

function systemName(files: readonly FactFile[]): string | null {
  const text = files.find(({ name }) => name === 'os-release.txt')?.content.toString('utf8') ?? '';
  return /^PRETTY_NAME="?([^"\n]{1,100})"?$/m.exec(text)?.[1] ?? null;
}
