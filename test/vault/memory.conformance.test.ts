// Every vault's suite against the store in memory: a simulation proves nothing on a vault that is none.
import { systemClock } from '../../src/clock.ts';
import { describeVault, type VaultBench } from './conformance.ts';
import { MemoryVault } from './memory-vault.ts';

const PART_BYTES = 1024 * 1024;

async function memoryBench(): Promise<VaultBench> {
  const vault = new MemoryVault(systemClock, { partBytes: PART_BYTES });
  return {
    vault,
    smallPages: vault,
    heldBytes: async () => vault.heldBytes,
    leaveUnfinished: async (key, bytes) => void vault.leaveUpload(key, bytes),
    release: () => vault.close(),
  };
}

describeVault('memory', memoryBench, { keepsVersions: true, partBytes: PART_BYTES });
