import { expect, test } from 'vitest';
import { ledgerCsv, peaksCsv } from '../../src/billing/ledger-csv.ts';

const AT = '2026-03-05T00:00:00Z';
const peaks = {
  month: '2026-03',
  measured: 'whole' as const,
  contracts: [{ contract: 'csi', vault: 'offsite', peakBytes: 1_200_000_000_001, at: AT }],
  shops: [
    { shop: 'dupont', vault: 'offsite', peakBytes: 5e11, at: AT, shareAtContractPeakBytes: 0 },
    { shop: 'martin', vault: 'nas', peakBytes: 7, at: AT, shareAtContractPeakBytes: null },
  ],
};

test('peaks in French and English - to the byte, TB with the decimals of the language, nothing where no contract is', () => {
  expect(peaksCsv(peaks, 'fr').split('\r\n')).toEqual([
    'row,month,contract,shop,vault,peak_bytes,peak_tb,at,share_bytes,share_tb,measured',
    `contract,2026-03,csi,,offsite,1200000000001,"1,200000000001",${AT},,,whole`,
    `shop,2026-03,,dupont,offsite,500000000000,"0,5",${AT},0,0,whole`,
    `shop,2026-03,,martin,nas,7,"0,000000000007",${AT},,,whole`,
    '',
  ]);
  expect(peaksCsv(peaks, 'en', ';')).toContain(`contract;2026-03;csi;;offsite;1200000000001;1.200000000001;${AT};;;whole`);
});

test('rows of the ledger - each cell in its column, a name that is a formula stays text', () => {
  const row = { at: Date.parse(AT), vault: 'offsite', shop: 'dupont', versionId: 'v', event: 'put' as const, hash: 'f0' };
  const csv = ledgerCsv([
    { ...row, id: 1, bytes: 7, key: '=HYPERLINK("x")', cause: null },
    { ...row, id: 2, bytes: -7, key: 'dupont/a', cause: 'lost, found' },
  ]);
  expect(csv.split('\r\n').slice(1)).toEqual([
    `1,${AT},offsite,dupont,put,7,"'=HYPERLINK(""x"")",v,,f0`,
    `2,${AT},offsite,dupont,put,-7,dupont/a,v,"lost, found",f0`,
    '',
  ]);
});
