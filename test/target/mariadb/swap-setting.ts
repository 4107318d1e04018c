// What swap tests share: an old database with everything in it, a dump of a new one, and a look at either.

import type { CoffreError } from '../../../src/errors.ts';
import { SwapTarget, type SwapTargetOptions } from '../../../src/target/mariadb/swap.ts';
import type { TableChoice } from '../../../src/target/target.ts';
import type { Dumped, Where } from '../../source/mariadb/dumped.ts';
import { databaseConfig, dumpParts, incoming } from '../../source/mariadb/dumped.ts';
import { checksums, type DatabaseServer, dumpText, freshDatabase } from '../../source/mariadb/server.ts';

const never = new AbortController().signal;

/** Parents and children, a cycle of foreign keys, a sequence behind a default, history, partitions, MyISAM, programs of every kind. */
export const OLD = `
CREATE TABLE parent (id int PRIMARY KEY, v varchar(20)) COMMENT='old';
CREATE TABLE child (id int PRIMARY KEY, pid int, CONSTRAINT child_parent FOREIGN KEY (pid) REFERENCES parent (id) ON DELETE CASCADE);
CREATE TABLE ring_a (id int PRIMARY KEY, b int); CREATE TABLE ring_b (id int PRIMARY KEY, a int, CONSTRAINT b_a FOREIGN KEY (a) REFERENCES ring_a (id));
ALTER TABLE ring_a ADD CONSTRAINT a_b FOREIGN KEY (b) REFERENCES ring_b (id);
CREATE TABLE only_old (id int PRIMARY KEY, pid int, CONSTRAINT only_old_parent FOREIGN KEY (pid) REFERENCES parent (id));
CREATE TABLE plain (id int) ENGINE=MyISAM; CREATE TABLE log_lines (id int AUTO_INCREMENT PRIMARY KEY, what varchar(40));
CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY HASH (id) PARTITIONS 3;
INSERT INTO parent VALUES (1,'old'),(2,'old'); INSERT INTO child VALUES (1,1),(2,2); INSERT INTO ring_a VALUES (1,NULL); INSERT INTO ring_b VALUES (1,1);
UPDATE ring_a SET b=1; INSERT INTO only_old VALUES (1,1); INSERT INTO plain VALUES (1); INSERT INTO parts VALUES (1),(2),(3);
CREATE VIEW v_one AS SELECT id, v FROM parent; CREATE VIEW v_two AS SELECT * FROM v_one WHERE id=1; CREATE VIEW only_old_view AS SELECT id FROM only_old;
CREATE VIEW becomes_table AS SELECT 1 AS one;
DELIMITER //
CREATE FUNCTION f_old(x int) RETURNS int DETERMINISTIC BEGIN RETURN x + 1; END//
CREATE PROCEDURE p_old() BEGIN SELECT f_old(1); END//
SET sql_mode='ANSI_QUOTES'//
CREATE TRIGGER tr_one BEFORE INSERT ON parent FOR EACH ROW SET NEW.v = CONCAT(NEW."v", 'é')//
SET sql_mode=''//
CREATE TRIGGER tr_two AFTER INSERT ON parent FOR EACH ROW INSERT INTO log_lines (what) VALUES (NEW.v)//
CREATE TRIGGER tr_child BEFORE UPDATE ON child FOR EACH ROW SET @changed=1//
CREATE DEFINER=\`gone\`@\`nowhere\` TRIGGER tr_gone BEFORE DELETE ON child FOR EACH ROW SET @deleted=1//
CREATE EVENT ev_old ON SCHEDULE EVERY 1 DAY STARTS '2037-01-01 00:00:00' DO DELETE FROM log_lines//
CREATE EVENT ev_off ON SCHEDULE EVERY 2 HOUR STARTS '2037-01-01 00:00:00' DISABLE DO DELETE FROM plain//
DELIMITER ;
`;
const MARIADB_OLD = `
CREATE SEQUENCE seq START 100 NOCACHE; CREATE TABLE numbered (id bigint DEFAULT nextval(seq), x int); INSERT INTO numbered (x) VALUES (1);
CREATE TABLE versioned (id int PRIMARY KEY, x int) WITH SYSTEM VERSIONING; SET timestamp=1700000000;
INSERT INTO versioned VALUES (1,1); SET timestamp=1700000001; UPDATE versioned SET x=2; SET timestamp=DEFAULT;
SET sql_mode=ORACLE;
DELIMITER //
CREATE PACKAGE pack AS FUNCTION one RETURN int; END//
CREATE PACKAGE BODY pack AS FUNCTION one RETURN int AS BEGIN RETURN 1; END; END//
DELIMITER ;
SET sql_mode='';
`;

/** The old one as the shop has it before the restore. */
export async function makeOld(server: DatabaseServer, name: string): Promise<void> {
  await freshDatabase(server, name, "CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci COMMENT 'the old one'");
  await server.sql(OLD + MARIADB_OLD, name);
}

/** What the snapshot holds: mostly the same names, other rows, other programs, some tables more and some less. */
export async function makeNew(server: DatabaseServer, name: string): Promise<Dumped> {
  await freshDatabase(server, name, "CHARACTER SET latin1 COLLATE latin1_general_ci COMMENT 'the new one'");
  await server.sql(OLD + MARIADB_OLD, name);
  await server.sql(
    `UPDATE parent SET v='new'; INSERT INTO parent VALUES (3,'x'); INSERT INTO child VALUES (3,3); ALTER TABLE parent COMMENT='new', ADD KEY (v);
     DROP VIEW only_old_view; DROP TABLE only_old; CREATE TABLE only_new (id int PRIMARY KEY, pid int, FOREIGN KEY (pid) REFERENCES parent (id));
     INSERT INTO only_new VALUES (1,3); DROP TRIGGER tr_two; CREATE TRIGGER tr_new AFTER INSERT ON child FOR EACH ROW SET @new=1;
     DROP VIEW becomes_table; CREATE TABLE becomes_table (id int); INSERT INTO becomes_table VALUES (7); DROP PROCEDURE p_old;
     DROP FUNCTION f_old; CREATE FUNCTION f_old(x int) RETURNS int DETERMINISTIC RETURN x + 2; CREATE VIEW only_new_view AS SELECT f_old(id) AS f FROM only_new;
     DROP EVENT ev_off; CREATE EVENT ev_new ON SCHEDULE EVERY 3 HOUR STARTS '2037-01-01 00:00:00' DO DELETE FROM plain; SELECT nextval(seq);`,
    name,
  );
  return dumpOf(server, name);
}

/** A shop's database as it is and, under another name, the one that its snapshot holds: with what a look at either shows. */
export async function makeBoth(
  server: DatabaseServer,
): Promise<{ readonly dumped: Dumped; readonly before: string; readonly wanted: string }> {
  const dumped = await makeNew(server, 'newer');
  await makeOld(server, 'shop');
  return { dumped, wanted: await look(server, 'newer'), before: await look(server, 'shop') };
}

/** As before any restore: the old one, and nothing beside it. */
export async function beginAnew(server: DatabaseServer): Promise<void> {
  await server.sql('SET foreign_key_checks=0; DROP DATABASE IF EXISTS shop_coffre_new; DROP DATABASE IF EXISTS shop_coffre_old');
  await makeOld(server, 'shop');
}

export const failureOf = (work: Promise<unknown>): Promise<CoffreError> =>
  work.then(
    () => {
      throw new Error('it should have failed');
    },
    (error: CoffreError) => error,
  );

export function dumpOf(server: DatabaseServer, name: string): Promise<Dumped> {
  return dumpParts(databaseConfig(server.where, name));
}

/** All that can be seen of it: definitions, rows, history, programs, checksums, whose definers, which are enabled. */
export async function look(server: DatabaseServer, name: string): Promise<string> {
  const properties = await server.sql(
    `SELECT DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME, SCHEMA_COMMENT FROM information_schema.SCHEMATA WHERE SCHEMA_NAME='${name}'`,
  );
  // each name's own: the default of a column that a sequence numbers names its database
  const text = (await dumpText(server, name)).replaceAll(`\`${name}\`.`, '`x`.');
  return [properties, text, await checksums(server, name)].join('\n');
}

export const beside = async (server: DatabaseServer, name: string): Promise<string> =>
  (
    await server.sql(
      `SELECT GROUP_CONCAT(SCHEMA_NAME ORDER BY 1) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME LIKE '${name}\\_coffre%'`,
    )
  ).trim();

export function makeSwap(where: Where, database: string, options: Partial<SwapTargetOptions> = {}): SwapTarget {
  const { user, password, host, port, socketPath } = databaseConfig(where, database);
  return new SwapTarget({ user, password, host, port, socketPath }, database, { overwrite: true, ...options });
}

export interface RestoreOptions {
  readonly snapshot?: string;
  readonly tables?: readonly string[];
  /** Called before the tables are swapped. */
  readonly beforePublish?: () => Promise<void>;
  /** Changes the parts on their way. */
  readonly alter?: (part: Dumped['parts'][number]) => Dumped['parts'][number];
}

/** As restoreDatabase calls a target, without vaults; closes it. */
export async function restoreInto(target: SwapTarget, dumped: Dumped, options: RestoreOptions = {}): Promise<void> {
  const only = options.tables ? new Set(options.tables) : null;
  try {
    const finished = await target.prepare({ snapshot: options.snapshot ?? 'the-snapshot', tables: options.tables ?? null });
    await target.markIncomplete();
    const choice: TableChoice = { only, except: new Set(finished.map(({ table }) => table)) };
    const counts = new Map<string, number>();
    for (const original of dumped.parts) {
      const part = options.alter?.(original) ?? original;
      const { load } = part.outcome;
      if (part.phase === 'keys') await target.holdKeys(incoming(part));
      else if (load) {
        if (only && !only.has(load.table)) continue;
        if (!choice.except.has(load.table)) await target.loadRows(incoming(part), load, never);
      } else if (part.phase !== 'post') await target.loadSql(incoming(part), never, choice);
      for (const entry of part.outcome.entries) {
        if ('rows' in entry) for (const [table, rows] of Object.entries(entry.rows)) counts.set(table, (counts.get(table) ?? 0) + rows);
      }
    }
    const open = [...counts].filter(([table]) => (only === null || only.has(table)) && !choice.except.has(table));
    const tables = open.map(([table, rows]) => ({ table, rows }));
    if (tables.length > 0) await target.finishTables(tables, never);
    await target.addForeignKeys(never, { only, except: new Set() });
    for (const part of dumped.parts.filter(({ phase }) => phase === 'post')) {
      await target.loadSql(incoming(options.alter?.(part) ?? part), never, { only, except: new Set() });
    }
    await options.beforePublish?.();
    await target.publish();
    await target.markComplete();
  } finally {
    await target.close();
  }
}
