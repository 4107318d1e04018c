// Contract C as a configuration gives it: 23 EUR a TB and month, by steps of 1 TB.
import type { ContractConfig } from '../../src/config/config.ts';

export function contractC(other: Partial<ContractConfig> = {}): ContractConfig {
  return {
    ...{ name: 'csi-001', vault: 'offsite', title: null, subscribedTB: 1, period: 'month', paid: 'arrears', firstMonth: 1 },
    ...{ start: null, end: null, timezone: 'Europe/Paris', price: { perTBMonth: '23.00', currency: 'EUR', stepTB: 1 }, prices: [] },
    ...{ taxPercent: null, taxRates: [], index: null, rebill: 'share', issue: 'manual', shops: null },
    ...other,
  };
}
