// Doctor's look at the shops: what each source finds, and whether 3-2-1 holds.
import type { Catalog } from '../../catalog/open.ts';
import type { Config, ShopConfig } from '../../config/config.ts';
import { threeTwoOne } from '../../config/three-two-one.ts';
import { asCoffreError } from '../../errors.ts';
import { vaultFacts } from '../../schedule/read-status.ts';
import type { SourceKind } from '../../source/source.ts';
import type { CliContext } from '../context.ts';
import { type Check, redCheck } from './check.ts';

/** Without these nothing else of a host can be asked. */
const REACHING = ['host key', 'connection', 'login'];

/** The findings of the shop's host, and of each source that the shop has; not of those on a host that is not reached. */
export async function checkSources(context: CliContext, config: Config, shop: ShopConfig): Promise<readonly Check[]> {
  const kinds: SourceKind[] = [
    ...(shop.database ? (['database'] as const) : []),
    ...(shop.files ? (['files'] as const) : []),
    ...(shop.server ? (['server'] as const) : []),
  ];
  const host = await context.adapters.checkHost(shop);
  const checks = host.map((finding): Check => ({ ...finding, name: `${shop.name} host: ${finding.name}` }));
  if (host.some(({ name, ok }) => !ok && REACHING.includes(name))) return checks;
  for (const kind of kinds) {
    try {
      const source = await context.adapters.openSource(shop, kind);
      const findings = await source.check();
      checks.push(...findings.map((finding): Check => ({ ...finding, name: `${shop.name} ${kind}: ${finding.name}` })));
    } catch (error) {
      checks.push(redCheck(`${shop.name} ${kind}`, error));
    }
  }
  if (shop.database !== null) checks.push(await checkRestoring(context, config, shop));
  return checks;
}

/** The account that writes when the shop is restored in place. */
async function checkRestoring({ adapters }: CliContext, { restore }: Config, shop: ShopConfig): Promise<Check> {
  const name = `${shop.name} restore in place`;
  try {
    return { name, ok: true, detail: `the database takes it from ${await adapters.tryRestoring(shop)}` };
  } catch (error) {
    if (asCoffreError(error).code === 'E_INTERRUPTED') throw error;
    const red = redCheck(name, error);
    // who named that account, or lets clients' restores begin by themselves, counts on it; others may never restore so
    const isCountedOn = restore.unattended || shop.database?.restore != null;
    return isCountedOn ? red : { ...red, ok: true, warning: true, detail: `would be refused as things stand: ${red.detail}` };
  }
}

/** 3-2-1 and the immutable copy, in words. */
export async function checkCopies(config: Config, catalog: Catalog | null, shop: ShopConfig): Promise<readonly Check[]> {
  const rule = threeTwoOne(shop, config.vaults, await vaultFacts(config, catalog, shop));
  const said = [
    `${rule.copies} ${rule.copies === 1 ? 'copy' : 'copies'}`,
    `${rule.media.length === 1 ? 'one kind' : `${rule.media.length} kinds`} of media (${rule.media.join(', ')})`,
    rule.offsite.length > 0 ? `off site: ${rule.offsite.join(', ')}` : 'none off site',
  ].join(', ');
  return [
    {
      name: `${shop.name} 3-2-1`,
      ok: rule.holds,
      detail: rule.reasons.length > 0 ? `${said}: ${rule.reasons.join('; ')}` : said,
      ...(!rule.holds && {
        hint: 'three copies (production is one), two kinds of media, one off site: give the shop the vaults that are missing',
      }),
    },
    {
      name: `${shop.name} immutable copy`,
      ok: rule.immutable.length > 0,
      detail: rule.immutable.length > 0 ? `locked in ${rule.immutable.join(', ')}` : 'no vault of this shop has proven its lock',
      ...(rule.immutable.length === 0 && {
        hint: 'give the shop an s3 vault whose bucket has Object Lock; its own lines above say what is wrong with it',
      }),
    },
  ];
}
