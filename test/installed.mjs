// Exit status 0 when node_modules holds what package-lock.json asks for; runs on any Node, without packages.
import { readFileSync } from 'node:fs';

const read = (name) => JSON.parse(readFileSync(new URL(name, import.meta.url), 'utf8')).packages;

try {
  const wanted = read('../package-lock.json');
  // npm writes down here what it has installed
  const installed = read('../node_modules/.package-lock.json');
  // an optional package may be absent: most are for other systems
  const isRight = ([place, { version, optional }]) =>
    place === '' || installed[place]?.version === version || (optional && !installed[place]);
  process.exitCode = Object.entries(wanted).every(isRight) ? 0 : 1;
} catch {
  process.exitCode = 1;
}
