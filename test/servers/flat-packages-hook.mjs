// Loaded into each Node of a test run before anything else: takes packages from one file each (flat-packages.ts says why). Its address carries
// `?PACKAGE=URL`, once for each of them. The same package installed elsewhere is not touched.
import { registerHooks } from 'node:module';

const flat = new Map([...new URL(import.meta.url).searchParams].map(([name, url]) => [import.meta.resolve(name), url]));

registerHooks({
  resolve(specifier, context, next) {
    const found = next(specifier, context);
    const url = flat.get(found.url);
    return url === undefined ? found : { ...found, url };
  },
});
