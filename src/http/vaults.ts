// Vaults: where things are stored, and whether their locks were proven.
import * as z from 'zod';
import { lastCheckpoint } from '../catalog/checkpoint-tables.ts';
import { lastProbe } from '../catalog/probes.ts';
import { vaultPlace } from '../config/vault-place.ts';
import type { Service } from '../schedule/service.ts';
import { instant, instantOf, instantOrNull } from './fields.ts';
import type { Access } from './principal.ts';
import type { Api } from './routes.ts';

const VAULTS: Access = ['admin', 'monitor'];

const vaultDocument = z.object({
  vault: z.string(),
  type: z.enum(['s3', 'filesystem']),
  place: z.string().describe('endpoint and bucket, or folder'),
  media: z.string(),
  site: z.string().nullable(),
  offsite: z.boolean(),
  lock: z.enum(['COMPLIANCE', 'GOVERNANCE', 'advisory']),
  shops: z.int().describe('how many declared shops use it'),
  probe: z
    .object({ at: instant, outcome: z.enum(['proven', 'unproven', 'refused']) })
    .nullable()
    .describe('null: never probed, and nothing in it counts as locked'),
  checkpointAt: instant.nullable().describe('of the newest checkpoint of the daemon’s state in it'),
});

export function registerVaults(api: Api, service: Service): void {
  api.get(
    '/v1/vaults',
    {
      config: { access: VAULTS },
      schema: { tags: ['vaults'], summary: 'vaults, by name', response: { 200: z.object({ vaults: z.array(vaultDocument) }) } },
    },
    async () => {
      const { catalog, config } = service;
      const vaults: z.output<typeof vaultDocument>[] = [];
      for (const vault of [...config.vaults.values()].sort((a, b) => (a.name < b.name ? -1 : 1))) {
        const { name, type, media, site, offsite } = vault;
        const probe = await lastProbe(catalog, vaultPlace(vault));
        vaults.push({
          ...{ vault: name, type, media, site, offsite },
          place: vault.type === 's3' ? `${vault.endpoint}/${[vault.bucket, vault.prefix].filter(Boolean).join('/')}` : vault.path,
          lock: vault.type === 's3' ? vault.lock.mode : 'advisory',
          shops: [...config.shops.values()].filter((shop) => shop.vaults.includes(name)).length,
          probe: probe && { at: instantOf(probe.at), outcome: probe.outcome },
          checkpointAt: instantOrNull((await lastCheckpoint(catalog.db, name))?.at ?? null),
        });
      }
      return { vaults };
    },
  );
}
