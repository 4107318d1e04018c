import { describe, expect, it } from 'vitest';
import { withoutDefiners } from '../../../src/target/mariadb/sql-file.ts';

const stripped = (text: string): string => withoutDefiners(Buffer.from(text, 'latin1')).toString('latin1');

describe('definers of an export', () => {
  it('of each definition that begins a line - left out, the rest byte for byte', () => {
    const text = [
      'DELIMITER ;;',
      'CREATE DEFINER=`root`@`localhost` PROCEDURE `p`()',
      "BEGIN SELECT 'CREATE DEFINER=`x`@`y` VIEW'; END",
      ';;',
      'CREATE OR REPLACE ALGORITHM=MERGE DEFINER=`a``b`@`%` SQL SECURITY DEFINER VIEW `v` AS SELECT 1',
      ';;',
      'CREATE TABLE `t` (`DEFINER` int)',
      'CREATE DEFINER=`d`@`h` DEFAULT', // begins as the clause does
      '\xe9 bytes of another charset',
    ].join('\n');
    expect(stripped(text)).toBe(
      [
        'DELIMITER ;;',
        'CREATE PROCEDURE `p`()',
        "BEGIN SELECT 'CREATE DEFINER=`x`@`y` VIEW'; END",
        ';;',
        'CREATE OR REPLACE ALGORITHM=MERGE SQL SECURITY DEFINER VIEW `v` AS SELECT 1',
        ';;',
        'CREATE TABLE `t` (`DEFINER` int)',
        'CREATE DEFAULT',
        '\xe9 bytes of another charset',
      ].join('\n'),
    );
  });

  it('no definer, nothing at all - as it was', () => {
    expect(stripped('SET NAMES utf8mb4;\n')).toBe('SET NAMES utf8mb4;\n');
    expect(stripped('')).toBe('');
  });
});
