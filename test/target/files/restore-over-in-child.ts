// Run as a process of its own, by somebody else or to be killed: reads TREE, restores it over LIVE, prints what came of it.
import { take } from '../../source/files/tree.ts';
import { restoreOver } from './delta.ts';

const [root = '', live = '', remove = ''] = process.argv.slice(2);
const snapshot = await take(root, new Map());
process.stdout.write('ready\n');
process.stdout.write(JSON.stringify(await restoreOver(snapshot, live, { removeAllBut: remove === 'remove' ? () => 'no' : null })));
