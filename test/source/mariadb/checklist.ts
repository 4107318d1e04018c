// The fidelity checklist, one database an item: what is easy to lose between a dump and its copy. README.md maps the lines to tests.
import type { DatabaseServer } from './server.ts';

export interface Item {
  readonly title: string;
  readonly sql: string;
  /** Whether this server can have such a thing; default: any can. */
  readonly on?: (server: DatabaseServer) => boolean;
  /** Of CREATE DATABASE. */
  readonly options?: string;
  /** A plugin that has to be loaded first; where the server has no such file the item is skipped. */
  readonly plugin?: string;
  /** What the dump must warn of, by the name of table or view. */
  readonly warns?: readonly string[];
  /** Rows that the dump leaves out on purpose: definitions alone are compared. */
  readonly definitionOnly?: true;
  /** What the oracle, mariadb-dump, needs besides its usual arguments. */
  readonly oracle?: readonly string[];
}

/** What the checklist's SQL runs under. */
export const SESSION = "SET NAMES utf8mb4; SET SESSION sql_mode='ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO', time_zone='+00:00';\n";

const mariadb = (server: DatabaseServer): boolean => server.mariadb;
const since =
  (oldest: { readonly mariadb?: number; readonly mysql?: number }) =>
  (server: DatabaseServer): boolean =>
    server.version >= ((server.mariadb ? oldest.mariadb : oldest.mysql) ?? Number.POSITIVE_INFINITY);
const sql = String.raw;

const values: readonly Item[] = [
  {
    title: 'FLOAT: every digit that it holds, in keys too',
    sql: sql`CREATE TABLE t (id int PRIMARY KEY, f float, f2 float(9,3), n float NOT NULL, KEY (f));
      INSERT INTO t VALUES (1,0.1,123456.789,16777217),(2,3.4028234e38,-0.001,1.17549435e-38),(3,1e-45,0,-1e-45),(4,NULL,NULL,0.3333333),(5,-0.0,-0.0,-0.0),(6,8388609.5,99999.999,1234567.9);
      CREATE TABLE k (f float NOT NULL, v int, PRIMARY KEY (f)); INSERT INTO k VALUES (0.1,1),(0.10000001,2),(16777216,3),(1e30,4);`,
  },
  {
    title: 'DOUBLE at its extremes',
    sql: sql`CREATE TABLE t (id int PRIMARY KEY, d double, d2 double(20,4));
      INSERT INTO t VALUES (1,1.7976931348623157e308,1e15),(2,2.2250738585072014e-308,0.0001),(3,4.9e-324,0),(4,-4.9e-324,-0.0),(5,-0.0,NULL),(6,0.1,0.1),(7,9007199254740993,1),(8,1/3,1),(9,2/3*1e-200,1);
      CREATE TABLE k (d double NOT NULL PRIMARY KEY, v int); INSERT INTO k VALUES (0.1,1),(0.30000000000000004,2),(0.3,3),(1.7976931348623157e308,4);`,
  },
  {
    title: 'DECIMAL of 65 digits and BIGINT of 64 bits, as keys too',
    sql: sql`CREATE TABLE t (id bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY, b bigint, d decimal(65,30), z decimal(65,0));
      INSERT INTO t VALUES (0,-9223372036854775808,-99999999999999999999999999999999999.999999999999999999999999999999,99999999999999999999999999999999999999999999999999999999999999999),
       (9007199254740993,9007199254740993,0.000000000000000000000000000001,-1),(18446744073709551614,9223372036854775807,NULL,0);
      CREATE TABLE k (d decimal(40,20) NOT NULL, b bigint NOT NULL, PRIMARY KEY (d, b)); INSERT INTO k VALUES (-1.00000000000000000001,-9223372036854775808),(-1.00000000000000000001,9007199254740993),(1.00000000000000000001,1);`,
  },
  {
    title: 'BIT, BINARY, VARBINARY and BLOB: every byte, the empty one and NULL are two things',
    sql: sql`CREATE TABLE t (id int PRIMARY KEY, b1 bit, b7 bit(7), b64 bit(64), bi binary(5), vb varbinary(20), tb tinyblob, bl blob, mb mediumblob, lb longblob);
      INSERT INTO t VALUES (1,b'1',b'1010101',0xFFFFFFFFFFFFFFFF,'','','','','',''),(2,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL),
       (3,b'0',0,0,0x0000000000,0x00,0x0A,0x09,0x5C,0x0D0A),(4,b'1',1,1,0x20,0x20,'\\N','NULL','0x41',''''),(5,b'1',1,1,'abc  ',' x ',0xFFFE,0xC3A9,0xE9,REPEAT(0x00FF5C0A270D1A,999));
      CREATE TABLE k (b binary(4) NOT NULL, v varbinary(4) NOT NULL, PRIMARY KEY (b, v)); INSERT INTO k VALUES ('',''),('',0x00),(0x00000001,0xFF),(0xFFFFFFFF,0x5C);`,
  },
  {
    title: 'GEOMETRY of every shape, its SRID, empty collections',
    sql: sql`CREATE TABLE t (id int PRIMARY KEY, g geometry NOT NULL, p point, l linestring, pg polygon, mp multipoint, ml multilinestring, mpg multipolygon, gc geometrycollection);
      INSERT INTO t VALUES (1,ST_GeomFromText('POINT(1 2)'),ST_GeomFromText('POINT(1.5 -2.25)',4326),ST_GeomFromText('LINESTRING(0 0,1e-300 1e300)'),ST_GeomFromText('POLYGON((0 0,10 0,10 10,0 10,0 0),(1 1,2 1,2 2,1 1))'),
       ST_GeomFromText('MULTIPOINT(0 0,1 1)'),ST_GeomFromText('MULTILINESTRING((0 0,1 1),(2 2,3 3))'),ST_GeomFromText('MULTIPOLYGON(((0 0,1 0,1 1,0 0)))'),ST_GeomFromText('GEOMETRYCOLLECTION(POINT(1 1),LINESTRING(0 0,1 1))')),
       (2,ST_GeomFromText('LINESTRING(0 0,9 9)',4326),NULL,NULL,NULL,NULL,NULL,NULL,ST_GeomFromText('GEOMETRYCOLLECTION EMPTY'));`,
  },
  {
    title: 'GEOMETRY with REF_SYSTEM_ID and a SPATIAL KEY',
    on: mariadb,
    sql: sql`CREATE TABLE t (id int PRIMARY KEY, g geometry NOT NULL, r point REF_SYSTEM_ID=4326 NOT NULL, SPATIAL KEY (g), SPATIAL KEY sr (r));
      INSERT INTO t VALUES (1,ST_GeomFromText('POINT(1 2)',3857),ST_GeomFromText('POINT(6 47)',4326)),(2,ST_GeomFromText('POINT(0 0)'),ST_GeomFromText('POINT(0 0)',4326));`,
  },
  {
    title: 'GEOMETRY with an SRID attribute and a SPATIAL KEY (MySQL)',
    on: since({ mysql: 80_003 }),
    sql: sql`CREATE TABLE t (id int PRIMARY KEY, g point NOT NULL SRID 4326, h geometry NOT NULL SRID 0, SPATIAL KEY (g), SPATIAL KEY (h));
      INSERT INTO t VALUES (1,ST_GeomFromText('POINT(47 6)',4326),ST_GeomFromText('POINT(1 2)'));`,
  },
  {
    title: 'JSON: order, spaces, escapes and characters beyond the BMP',
    sql: sql`CREATE TABLE t (id int PRIMARY KEY, j json, n json NOT NULL);
      INSERT INTO t VALUES (1,'{"b": [1, 2.50, "é\\n\\u00e9 😀 \\" \\\\"], "a": null}','[]'),(2,NULL,'"text"'),(3,'18446744073709551615','{}'),(4,'1.7976931348623157e308','[[[[1]]]]'),(5,'null','"tab\\t"');`,
  },
  {
    title: "ENUM and SET: '' as a member and the error value are two things",
    sql: sql`CREATE TABLE t (id int PRIMARY KEY, e enum('a','','3','é','x,y') NOT NULL, f enum('1','2','0') NULL, s set('p','q','r s','é'), KEY (e));
      INSERT INTO t VALUES (1,'a','1','p,r s'),(2,'','2',''),(3,'3',NULL,NULL),(4,'é','0','p,q,r s,é'),(5,'x,y','1','q');
      INSERT IGNORE INTO t VALUES (6,'nope','1','p'),(7,'a','nope','q'),(8,'zz','zz','p');
      CREATE TABLE k (e enum('z','a','m') NOT NULL, n int NOT NULL, PRIMARY KEY (e, n)); INSERT INTO k SELECT e, n FROM (SELECT 'z' e UNION SELECT 'a' UNION SELECT 'm') x, (SELECT 1 n UNION SELECT 2 UNION SELECT 3) y;
      CREATE TABLE only_e (e enum('a','b')); INSERT IGNORE INTO only_e VALUES ('c'),('a'),(NULL);`,
  },
  {
    title: 'dates: zero, invalid, first and last',
    sql: sql`CREATE TABLE t (id int PRIMARY KEY, d date, dt datetime, dt6 datetime(6), n date NOT NULL DEFAULT '0000-00-00', m datetime NOT NULL DEFAULT '0000-00-00 00:00:00');
      INSERT INTO t VALUES (1,'0000-00-00','0000-00-00','0000-00-00','0000-00-00','0000-00-00'),(2,'2020-02-31','2021-02-29 23:59:59','2020-04-31 00:00:00.000001','2020-00-00','2020-06-00'),
       (3,'9999-12-31','9999-12-31 23:59:59','9999-12-31 23:59:59.999999','1000-01-01','0001-01-01'),(4,NULL,NULL,NULL,'2020-01-01','2020-01-01');
      CREATE TABLE k (d date NOT NULL, dt datetime(3) NOT NULL, PRIMARY KEY (d, dt)); INSERT INTO k VALUES ('0000-00-00','0000-00-00'),('2020-02-31','2021-02-30 10:00:00.123'),('2020-01-01','2020-01-01 00:00:00.001');`,
  },
  {
    title: 'TIMESTAMP through the hours that a summer time skips and repeats, first and last second, zero',
    sql: sql`CREATE TABLE t (id int PRIMARY KEY, ts timestamp NULL, t6 timestamp(6) NULL, u timestamp NOT NULL DEFAULT current_timestamp ON UPDATE current_timestamp);
      INSERT INTO t VALUES (1,'2021-10-31 00:30:00','2021-10-31 00:30:00.5','2021-10-31 00:30:00'),(2,'2021-10-31 01:30:00','2021-10-31 01:30:00.5','2021-10-31 01:30:00'),(3,'2021-03-28 00:59:59','2021-03-28 01:00:00.000001','2021-03-28 01:00:00'),
       (4,'1970-01-01 00:00:01','2038-01-19 03:14:07.999999','2038-01-19 03:14:07'),(5,'0000-00-00','0000-00-00','0000-00-00'),(6,NULL,NULL,'2000-01-01');
      CREATE TABLE k (ts timestamp NOT NULL PRIMARY KEY, v int); INSERT INTO k VALUES ('2021-10-31 00:30:00',1),('2021-10-31 01:30:00',2);`,
  },
  {
    title: 'TIME below zero, beyond a day, with fractions; YEAR 0000 beside 2000',
    sql: sql`CREATE TABLE t (id int PRIMARY KEY, t time, t6 time(6), y year);
      INSERT INTO t VALUES (1,'-838:59:59','-838:59:59','0000'),(2,'838:59:59','838:59:58.999999','2000'),(3,'-00:00:01','-00:00:00.000001','1901'),(4,'00:00:00','25:00:00.5','2155'),(5,NULL,NULL,NULL);
      CREATE TABLE k (y year NOT NULL, t time NOT NULL, PRIMARY KEY (y, t)); INSERT INTO k VALUES ('0000','-01:00:00'),('2000','00:00:00'),('2000','30:00:00');`,
  },
  {
    title: 'UUID, INET4, INET6: as columns, keys and defaults',
    on: since({ mariadb: 101_000 }),
    sql: sql`CREATE TABLE t (id uuid PRIMARY KEY DEFAULT uuid(), i4 inet4, i6 inet6, u uuid);
      INSERT INTO t VALUES ('123e4567-e89b-12d3-a456-426655440000','1.2.3.4','::ffff:1.2.3.4','00000000-0000-0000-0000-000000000000'),('ffffffff-ffff-ffff-ffff-ffffffffffff',NULL,NULL,NULL),('00000000-0000-0000-0000-000000000001','0.0.0.0','::',uuid()),('6ccd780c-baba-1026-9564-5b8c656024db','255.255.255.255','2001:db8::1','ffffffff-ffff-ffff-ffff-ffffffffffff');
      CREATE TABLE k (i inet6 PRIMARY KEY, j inet4 NOT NULL UNIQUE); INSERT INTO k VALUES ('::1','10.0.0.9'),('ff02::1','10.0.0.10'),('::','9.0.0.1');`,
  },
  {
    title: 'VECTOR with its index',
    on: since({ mariadb: 110_701 }),
    sql: sql`CREATE TABLE t (id int PRIMARY KEY, v vector(3) NOT NULL, VECTOR INDEX (v)); INSERT INTO t VALUES (1, VEC_FromText('[0.1,-0.2,3e10]')), (2, VEC_FromText('[0,0,0]'));`,
  },
  {
    title: 'COMPRESSED columns, and what is in them',
    on: mariadb,
    sql: sql`CREATE TABLE t (id int PRIMARY KEY, v varchar(2000) COMPRESSED, x text COMPRESSED CHARACTER SET latin1, b longblob COMPRESSED);
      INSERT INTO t VALUES (1,REPEAT('é',2000),REPEAT('é',9000),REPEAT(0x00FF5C,9000)),(2,'','',''),(3,NULL,NULL,NULL),(4,'short','\\',0x0A);`,
  },
  {
    title: 'latin1, mixed and double-encoded text: the same bytes',
    options: 'CHARACTER SET latin1',
    sql: sql`CREATE TABLE t (id int PRIMARY KEY, l varchar(300), u varchar(300) CHARACTER SET utf8mb4, u3 varchar(300) CHARACTER SET utf8, b varchar(300) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin, a varchar(99) CHARACTER SET ascii, raw varbinary(300), gr varchar(50) CHARACTER SET greek, cy text CHARACTER SET cp1251, w varchar(50) CHARACTER SET utf16, sj varchar(50) CHARACTER SET sjis);
      INSERT INTO t VALUES (1,'café € Œ','café 漢 😀','café 漢','ß','~','x','Ελλάδα','Привет','漢😀','表ソ'),(2,'','','','','','','','','',''),(3,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
      INSERT INTO t (id,l,u,b,raw) VALUES (4,CONVERT(UNHEX('C3A9E282AC') USING latin1),'Ã©â‚¬ double','é  ',UNHEX('C3A9E9'));
      UPDATE t SET l=CONVERT(UNHEX('808182838485868788898A8B8C8D8E8F909192939495969798999A9B9C9D9E9FA0FF5C27') USING latin1), cy=CONVERT(UNHEX('98C0FF') USING cp1251) WHERE id=2;
      CREATE TABLE k (l varchar(20) CHARACTER SET latin1 NOT NULL, u varchar(20) CHARACTER SET utf8mb4 NOT NULL, PRIMARY KEY (l, u)); INSERT INTO k VALUES ('é','😀'),('é','漢'),('\\','\''),('','');`,
  },
  {
    title: "NULL against '', 'NULL' and \\N; blanks at both ends; every character that a text format lives on",
    sql: sql`CREATE TABLE t (id int PRIMARY KEY, c char(20), v varchar(99), x text, l longtext);
      INSERT INTO t VALUES (1,NULL,NULL,NULL,NULL),(2,'','','',''),(3,'NULL','\\N','N','\\'),(4,'  lead','trail  ',' both ','\t\n\r\0\Z\b'),(5,'a\\','\\\\N','\\\n','"''${'`'}'),(6,';','--','/*','#'),(7,'\r\n','\n','\r','\n\n');
      CREATE TABLE k (v varchar(30) NOT NULL PRIMARY KEY); INSERT INTO k VALUES (''),('\\'),('\\N'),('a\tb'),('a\nb'),(''''),('NULL');`,
  },
  {
    title: 'rows without a key, doubled ones too; a table without rows; one without a column that can be written',
    sql: sql`CREATE TABLE dup (a int, b varchar(20)); INSERT INTO dup VALUES (1,'x'),(1,'x'),(NULL,NULL),(NULL,NULL),(2,'');
      CREATE TABLE none (id int PRIMARY KEY, v text); CREATE TABLE computed (a int, g int GENERATED ALWAYS AS (7) VIRTUAL); INSERT INTO computed (a) VALUES (1),(NULL);
      CREATE TABLE nullable_unique (a int, b int, UNIQUE KEY (a, b)); INSERT INTO nullable_unique VALUES (NULL,1),(NULL,1),(1,NULL),(1,2);`,
  },
];

const tables: readonly Item[] = [
  {
    title: 'generated columns, virtual and stored, with keys on them',
    sql: sql`CREATE TABLE t (id int PRIMARY KEY AUTO_INCREMENT, a int, v int GENERATED ALWAYS AS (a * 2) VIRTUAL, s varchar(20) GENERATED ALWAYS AS (concat('v', a)) STORED, b int, KEY (v), UNIQUE KEY (s));
      INSERT INTO t (a, b) VALUES (1,2),(NULL,3),(5,NULL);`,
  },
  {
    title: 'INVISIBLE columns',
    on: since({ mariadb: 100_300, mysql: 80_023 }),
    sql: sql`CREATE TABLE t (id int PRIMARY KEY, a int INVISIBLE, b varchar(10) DEFAULT 'x' INVISIBLE); INSERT INTO t (id, a, b) VALUES (1, 2, 'seen'), (2, NULL, NULL);
      CREATE TABLE h (id int NOT NULL DEFAULT 9 INVISIBLE PRIMARY KEY, v int); INSERT INTO h (id, v) VALUES (1, 1), (2, 2);`,
  },
  {
    title: 'CHECK constraints that rows break, defaults that are expressions',
    on: since({ mariadb: 100_201, mysql: 80_016 }),
    sql: sql`CREATE TABLE t (id int PRIMARY KEY, a int CHECK (a > 0), u varchar(36) DEFAULT (concat('a', 'b;')), CONSTRAINT positive CHECK (a < 100)); INSERT INTO t (id, a) VALUES (1, 5), (2, NULL);`,
  },
  {
    title: 'descending keys, keys on a prefix, ignored keys',
    on: since({ mariadb: 100_800 }),
    sql: sql`CREATE TABLE t (a int NOT NULL, b int NOT NULL, v varchar(300), x text, PRIMARY KEY (a DESC, b), KEY d (b DESC, a), KEY p (v(10), x(20)), KEY i (b) IGNORED, FULLTEXT KEY f (v, x) ); INSERT INTO t VALUES (1,1,'a','b'),(1,2,'a','b'),(2,1,'c',NULL),(3,0,NULL,NULL);`,
  },
  {
    title: 'descending and invisible keys, defaults that are expressions (MySQL)',
    on: since({ mysql: 80_013 }),
    sql: sql`CREATE TABLE t (a int NOT NULL, b int NOT NULL, v varchar(300), PRIMARY KEY (a DESC, b), KEY d (b DESC, a), KEY i (b) INVISIBLE, FULLTEXT KEY f (v)); INSERT INTO t VALUES (1,1,'a'),(1,2,'a'),(2,1,'c');
      CREATE TABLE d (id int PRIMARY KEY, u varchar(40) DEFAULT (concat('a', 'b')), j json DEFAULT (json_array()), c varchar(20) COLLATE utf8mb4_0900_as_cs) COLLATE utf8mb4_0900_ai_ci; INSERT INTO d (id, c) VALUES (1, 'É');`,
  },
  {
    title: 'keys over expressions (MySQL)',
    on: since({ mysql: 80_013 }),
    // each is a hidden column to CHECKSUM TABLE, in the order in which the keys were made
    definitionOnly: true,
    sql: sql`CREATE TABLE t (a int NOT NULL, b int NOT NULL, PRIMARY KEY (a, b), KEY fn ((a + b)), UNIQUE KEY fu ((a * 1000 + b))); INSERT INTO t VALUES (1,1),(1,2),(2,1);`,
  },
  {
    title: 'sequences: cycling, counting down, at their end, as a default',
    on: since({ mariadb: 100_300 }),
    sql: sql`CREATE SEQUENCE up START WITH 100 INCREMENT BY 10 MINVALUE 50 MAXVALUE 120 CYCLE CACHE 2; DO NEXTVAL(up), NEXTVAL(up), NEXTVAL(up), NEXTVAL(up);
      CREATE SEQUENCE down START WITH -1 INCREMENT BY -3 MINVALUE -1000 MAXVALUE -1 NOCACHE; DO NEXTVAL(down), NEXTVAL(down);
      CREATE SEQUENCE used_up START WITH 1 MINVALUE 1 MAXVALUE 2 NOCACHE; DO NEXTVAL(used_up), NEXTVAL(used_up); CREATE SEQUENCE big START WITH 9007199254740993 MAXVALUE 9223372036854775806; DO NEXTVAL(big);
      CREATE SEQUENCE my ENGINE=MyISAM; DO NEXTVAL(my); CREATE SEQUENCE untouched;
      CREATE TABLE t (id bigint PRIMARY KEY DEFAULT (nextval(up)), v int DEFAULT (nextval(down))); INSERT INTO t (v) VALUES (1); INSERT INTO t (id) VALUES (5); CREATE VIEW v AS SELECT NEXTVAL(up) AS n FROM t;`,
  },
  {
    title: 'system-versioned tables with their history, by timestamps of their own too, columns without',
    on: since({ mariadb: 101_100 }),
    sql: sql`CREATE TABLE t (id int PRIMARY KEY, v varchar(20), KEY (v)) WITH SYSTEM VERSIONING; INSERT INTO t VALUES (1,'first'),(2,'second'),(3,'stays'); UPDATE t SET v='changed' WHERE id=1; UPDATE t SET v='again' WHERE id=1; DELETE FROM t WHERE id=2;
      CREATE TABLE own (id int PRIMARY KEY, v int, w int WITHOUT SYSTEM VERSIONING, rs timestamp(6) GENERATED ALWAYS AS ROW START INVISIBLE, re timestamp(6) GENERATED ALWAYS AS ROW END, PERIOD FOR SYSTEM_TIME (rs, re)) WITH SYSTEM VERSIONING; INSERT INTO own (id,v,w) VALUES (1,1,1); UPDATE own SET v=2; UPDATE own SET w=2; DELETE FROM own; INSERT INTO own (id,v,w) VALUES (1,9,9);`,
  },
  {
    title: 'system-versioned tables partitioned by SYSTEM_TIME',
    on: since({ mariadb: 101_100 }),
    sql: sql`CREATE TABLE h (id int, v int) WITH SYSTEM VERSIONING PARTITION BY SYSTEM_TIME (PARTITION p0 HISTORY, PARTITION pc CURRENT); INSERT INTO h VALUES (1,1); UPDATE h SET v=2; DELETE FROM h; INSERT INTO h VALUES (2,2);
      CREATE TABLE l (id int, v int) WITH SYSTEM VERSIONING PARTITION BY SYSTEM_TIME LIMIT 1000 (PARTITION p0 HISTORY, PARTITION p1 HISTORY, PARTITION pc CURRENT); INSERT INTO l VALUES (1,1); UPDATE l SET v=2;
      CREATE TABLE i (id int, v int) WITH SYSTEM VERSIONING PARTITION BY SYSTEM_TIME INTERVAL 1 MONTH STARTS '2020-01-01 00:00:00' (PARTITION p0 HISTORY, PARTITION pc CURRENT); INSERT INTO i VALUES (1,1); UPDATE i SET v=2;`,
  },
  {
    title: 'system-versioned by transaction: present rows kept, and the dump says that history is not',
    on: mariadb,
    warns: ['t'],
    definitionOnly: true,
    oracle: ['--skip-dump-history'],
    sql: sql`CREATE TABLE t (id int PRIMARY KEY, v int, s bigint unsigned GENERATED ALWAYS AS ROW START, e bigint unsigned GENERATED ALWAYS AS ROW END, PERIOD FOR SYSTEM_TIME (s, e)) WITH SYSTEM VERSIONING; INSERT INTO t (id, v) VALUES (1,1); UPDATE t SET v=2;`,
  },
  {
    title: 'application-time periods, WITHOUT OVERLAPS, bitemporal',
    on: since({ mariadb: 101_100 }),
    sql: sql`CREATE TABLE t (id int, s date NOT NULL, e date NOT NULL, PERIOD FOR valid (s, e), UNIQUE KEY u (id, valid WITHOUT OVERLAPS)); INSERT INTO t VALUES (1,'2020-01-01','2021-01-01'),(1,'2021-01-01','2022-01-01');
      CREATE TABLE b (id int, s date NOT NULL, e date NOT NULL, v int, PERIOD FOR valid (s, e)) WITH SYSTEM VERSIONING; INSERT INTO b VALUES (1,'2020-01-01','2021-01-01',5); UPDATE b FOR PORTION OF valid FROM '2020-03-01' TO '2020-04-01' SET v=6;`,
  },
  {
    title: 'partitions of every kind',
    sql: sql`CREATE TABLE r (id int NOT NULL, d date NOT NULL, v int, PRIMARY KEY (id, d), KEY (v)) PARTITION BY RANGE (YEAR(d)) (PARTITION p0 VALUES LESS THAN (2020), PARTITION ${'`p 1`'} VALUES LESS THAN (2021) COMMENT = 'x, (y', PARTITION p2 VALUES LESS THAN MAXVALUE); INSERT INTO r VALUES (1,'2019-01-01',1),(2,'2020-06-01',2),(3,'2030-01-01',3);
      CREATE TABLE rc (a varchar(10), b int) PARTITION BY RANGE COLUMNS (a, b) (PARTITION p0 VALUES LESS THAN ('g', 5), PARTITION p1 VALUES LESS THAN (MAXVALUE, MAXVALUE)); INSERT INTO rc VALUES ('a',1),('z',9);
      CREATE TABLE l (id int, r int) PARTITION BY LIST (r) (PARTITION a VALUES IN (1,2), PARTITION b VALUES IN (3,NULL)); INSERT INTO l VALUES (1,1),(2,3),(3,NULL);
      CREATE TABLE lc (id int, r char(2)) PARTITION BY LIST COLUMNS (r) (PARTITION eu VALUES IN ('FR','CH'), PARTITION other VALUES IN ('US',NULL)); INSERT INTO lc VALUES (1,'FR'),(2,NULL);
      CREATE TABLE h (id int PRIMARY KEY) PARTITION BY HASH (id) PARTITIONS 3; INSERT INTO h VALUES (1),(2),(3),(-4);
      CREATE TABLE lh (id int PRIMARY KEY) PARTITION BY LINEAR HASH (id) PARTITIONS 3; INSERT INTO lh VALUES (1),(2),(3);
      CREATE TABLE k (id int NOT NULL PRIMARY KEY, v varchar(20)) PARTITION BY KEY () PARTITIONS 4; INSERT INTO k VALUES (1,'a'),(2,'b');
      CREATE TABLE lk (v varchar(20)) PARTITION BY LINEAR KEY (v) PARTITIONS 2; INSERT INTO lk VALUES ('a'),(NULL);
      CREATE TABLE sub (id int, d date) PARTITION BY RANGE (YEAR(d)) SUBPARTITION BY HASH (id) SUBPARTITIONS 2 (PARTITION p0 VALUES LESS THAN (2020), PARTITION p1 VALUES LESS THAN MAXVALUE); INSERT INTO sub VALUES (1,'2019-01-01'),(2,'2024-01-01');`,
  },
  {
    title: 'foreign keys in a cycle, to itself, over two columns, with orphans',
    sql: sql`CREATE TABLE b_parent (id int PRIMARY KEY, child int, self int, x int, y int, UNIQUE KEY (x, y), CONSTRAINT fk_self FOREIGN KEY (self) REFERENCES b_parent (id) ON DELETE SET NULL);
      CREATE TABLE a_child (id int PRIMARY KEY, parent int, x int, y int, CONSTRAINT ${'`fk ``odd`'} FOREIGN KEY (parent) REFERENCES b_parent (id) ON DELETE CASCADE ON UPDATE CASCADE, CONSTRAINT fk_two FOREIGN KEY (x, y) REFERENCES b_parent (x, y));
      ALTER TABLE b_parent ADD CONSTRAINT fk_cycle FOREIGN KEY (child) REFERENCES a_child (id);
      SET foreign_key_checks=0; INSERT INTO b_parent VALUES (1,1,1,1,1),(2,NULL,1,2,2),(3,999,NULL,NULL,NULL); INSERT INTO a_child VALUES (1,1,1,1),(2,888,NULL,NULL); SET foreign_key_checks=1;`,
  },
  {
    title: 'AUTO_INCREMENT: where it stood, with gaps, 0 as a value, on a second key, in a table without rows',
    sql: sql`CREATE TABLE gap (id int PRIMARY KEY AUTO_INCREMENT, v int) AUTO_INCREMENT=5000; INSERT INTO gap (v) VALUES (1),(2); DELETE FROM gap WHERE id=5001;
      CREATE TABLE zero (id int PRIMARY KEY AUTO_INCREMENT, v int); INSERT INTO zero VALUES (0,1),(-5,2),(7,3);
      CREATE TABLE second (a int NOT NULL PRIMARY KEY, id int NOT NULL AUTO_INCREMENT, KEY (id)) AUTO_INCREMENT=70; INSERT INTO second (a) VALUES (1),(2);
      CREATE TABLE none (id bigint unsigned PRIMARY KEY AUTO_INCREMENT) AUTO_INCREMENT=18446744073709551000; CREATE TABLE my (g int NOT NULL, id int NOT NULL AUTO_INCREMENT, PRIMARY KEY (g, id)) ENGINE=MyISAM; INSERT INTO my (g) VALUES (1),(1),(2);`,
  },
  {
    title: 'engines: MyISAM, MEMORY, CSV; row formats and table options',
    sql: sql`CREATE TABLE my (id int PRIMARY KEY, t text, FULLTEXT KEY (t)) ENGINE=MyISAM PACK_KEYS=1 CHECKSUM=1 DELAY_KEY_WRITE=1 ROW_FORMAT=DYNAMIC; INSERT INTO my VALUES (1,'words'),(2,NULL);
      CREATE TABLE mem (id int PRIMARY KEY, v varchar(10), KEY (v) USING BTREE) ENGINE=MEMORY; INSERT INTO mem VALUES (1,'m');
      CREATE TABLE csv (id int NOT NULL, v varchar(20) NOT NULL) ENGINE=CSV; INSERT INTO csv VALUES (1,'c"),\n'),(1,'');
      CREATE TABLE comp (id int PRIMARY KEY, t text) ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE=8 STATS_PERSISTENT=1 STATS_SAMPLE_PAGES=50 COMMENT='it''s "a" \\ comment\nwith lines'; INSERT INTO comp VALUES (1,REPEAT('abc',500));`,
  },
  {
    title: 'Aria, transactional and not; options of InnoDB that MySQL has not',
    on: mariadb,
    sql: sql`CREATE TABLE a (id int PRIMARY KEY, v int, KEY (v)) ENGINE=Aria TRANSACTIONAL=1 PAGE_CHECKSUM=1; INSERT INTO a VALUES (1,1),(2,NULL); CREATE TABLE b (v varchar(20)) ENGINE=Aria TRANSACTIONAL=0 ROW_FORMAT=FIXED; INSERT INTO b VALUES ('x'),('x');
      CREATE TABLE enc (id int PRIMARY KEY, v int) PAGE_COMPRESSED=1; INSERT INTO enc VALUES (1,1);`,
  },
  {
    title: 'MERGE: the definition alone',
    sql: sql`CREATE TABLE m1 (id int NOT NULL, KEY (id)) ENGINE=MyISAM; CREATE TABLE m2 LIKE m1; INSERT INTO m1 VALUES (1),(2); INSERT INTO m2 VALUES (3); CREATE TABLE a_merge (id int NOT NULL, KEY (id)) ENGINE=MERGE UNION=(m1,m2) INSERT_METHOD=LAST;`,
  },
  {
    title: 'BLACKHOLE: the definition alone',
    plugin: 'ha_blackhole',
    on: mariadb,
    sql: sql`CREATE TABLE hole (id int PRIMARY KEY) ENGINE=BLACKHOLE; INSERT INTO hole VALUES (1);`,
  },
  {
    title: 'ARCHIVE: its rows',
    plugin: 'ha_archive',
    on: mariadb,
    sql: sql`CREATE TABLE ar (id int NOT NULL, v text) ENGINE=ARCHIVE; INSERT INTO ar VALUES (1,'x'),(2,NULL);`,
  },
  {
    title: 'FEDERATED: the definition alone, nothing is read from the other server',
    plugin: 'ha_federatedx',
    on: (server) => server.mariadb && server.rig !== null,
    definitionOnly: true,
    sql: sql`CREATE TABLE local (id int PRIMARY KEY, v varchar(20)); INSERT INTO local VALUES (1,'there');
      CREATE USER IF NOT EXISTS 'fed'@'%' IDENTIFIED BY 'fed'; GRANT ALL ON *.* TO 'fed'@'%';
      EXECUTE IMMEDIATE CONCAT('CREATE TABLE fed (id int PRIMARY KEY, v varchar(20)) ENGINE=FEDERATED CONNECTION=''mysql://fed:fed@127.0.0.1:', @@port, '/', DATABASE(), '/local''');`,
  },
  {
    title: 'SPHINX: the definition alone, no search server is asked',
    plugin: 'ha_sphinx',
    on: mariadb,
    definitionOnly: true,
    sql: sql`CREATE TABLE sp (id bigint unsigned NOT NULL, weight int NOT NULL, query varchar(3072) NOT NULL, KEY (query)) ENGINE=SPHINX CONNECTION='sphinx://127.0.0.1:9/x';`,
  },
  {
    title: 'Mroonga: its rows, stored by itself or by the engine that it wraps',
    plugin: 'ha_mroonga',
    on: mariadb,
    sql: sql`CREATE TABLE st (id int PRIMARY KEY AUTO_INCREMENT, t text, n int, KEY (n), FULLTEXT KEY (t)) ENGINE=Mroonga; INSERT INTO st (t,n) VALUES ('mot é',1),(NULL,2);
      CREATE TABLE w (id int PRIMARY KEY, t text, FULLTEXT KEY (t)) ENGINE=Mroonga COMMENT='engine "InnoDB"'; INSERT INTO w SELECT id,t FROM st;`,
  },
  {
    title: 'CONNECT: the definition alone',
    plugin: 'ha_connect',
    on: mariadb,
    definitionOnly: true,
    sql: sql`CREATE TABLE con (id int NOT NULL, v char(10) NOT NULL) ENGINE=CONNECT TABLE_TYPE=CSV FILE_NAME='connect_data.csv' HEADER=1; INSERT INTO con VALUES (1,'a');`,
  },
  {
    title: 'names: backticks, slashes, newlines, unicode, dots and blanks, 64 characters',
    sql: sql`CREATE TABLE ${'`odd ``name`` é/ü.`'} (${"`col ``a`` (x), y` int, `sel'ect` text, `KEY z` int, `new\nline` int DEFAULT 3, `PRIMARY KEY` int, PRIMARY KEY (`col ``a`` (x), y`), KEY `k,1 (` (`KEY z`), KEY `k``2` (`sel'ect`(5)) COMMENT 'a, b (c', KEY `PRIMARY KEY` (`PRIMARY KEY`)"}) COMMENT='KEY ${'`x` (`y`)'},';
      INSERT INTO ${'`odd ``name`` é/ü.`'} VALUES (1,'a',2,3,4),(-1,'b',2,NULL,NULL);
      CREATE TABLE ${'`日本語 表`'} (${'`ключ` varchar(50) NOT NULL PRIMARY KEY, `Größe` int'}); INSERT INTO ${'`日本語 表`'} VALUES ('ä',1),('o',2),('',3);
      CREATE TABLE ${'`../../etc/passwd`'} (${'`../x` int PRIMARY KEY'}); INSERT INTO ${'`../../etc/passwd`'} VALUES (1); CREATE TABLE ${'`trailing.`'} (id int PRIMARY KEY, ${'` lead` int, `a.b` int'}); INSERT INTO ${'`trailing.`'} VALUES (1,2,3); CREATE TABLE ${'`new\nline\ttab`'} (a int PRIMARY KEY); INSERT INTO ${'`new\nline\ttab`'} VALUES (7);
      CREATE TABLE ${'`'}${'n'.repeat(64)}${'`'} (${'`'}${'c'.repeat(64)}${'`'} int PRIMARY KEY, b int, UNIQUE KEY ${'`'}${'k'.repeat(64)}${'`'} (b), CONSTRAINT ${'`'}${'f'.repeat(64)}${'`'} FOREIGN KEY (b) REFERENCES ${'`'}${'n'.repeat(64)}${'`'} (${'`'}${'c'.repeat(64)}${'`'})); INSERT INTO ${'`'}${'n'.repeat(64)}${'`'} VALUES (1,1);
      CREATE TABLE ${'`'}${'é'.repeat(64)}${'`'} (a int PRIMARY KEY); INSERT INTO ${'`'}${'é'.repeat(64)}${'`'} VALUES (1); CREATE TABLE ${'`Case` (`Id` int PRIMARY KEY, `primary` int, `order` int, UNIQUE KEY `group` (`order`))'}; INSERT INTO ${'`Case`'} VALUES (1,2,3);
      CREATE TABLE ${'`%41 & "quoted" \'single\' $x ; -- /*`'} (a int PRIMARY KEY); INSERT INTO ${'`%41 & "quoted" \'single\' $x ; -- /*`'} VALUES (1); CREATE VIEW ${'`v ``é``\n/`'} AS SELECT ${'`a.b`'} FROM ${'`trailing.`'};`,
  },
  {
    title: 'charset, collation and comment of the database and of its tables and columns',
    options: 'CHARACTER SET latin2 COLLATE latin2_croatian_ci',
    sql: sql`CREATE TABLE a (v varchar(20)); INSERT INTO a VALUES ('ž'); CREATE TABLE b (v varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin, w varchar(20)) CHARACTER SET latin1 COLLATE latin1_bin COMMENT 'é'; INSERT INTO b VALUES ('ž','é');`,
  },
];

const programs: readonly Item[] = [
  {
    title: 'views: over each other, over functions, with CHECK OPTION, algorithm, definer, charset and collation of their making',
    sql: sql`CREATE TABLE t (id int PRIMARY KEY, name varchar(20)); INSERT INTO t VALUES (1,'a');
      CREATE FUNCTION f(x int) RETURNS int DETERMINISTIC READS SQL DATA RETURN (SELECT COUNT(*) FROM z_base) + x;
      CREATE VIEW z_base AS SELECT id, name FROM t WHERE name <> 'é"\\'; CREATE ALGORITHM=MERGE SQL SECURITY INVOKER VIEW a_dep AS SELECT z.id, z.name FROM z_base z WITH LOCAL CHECK OPTION; CREATE ALGORITHM=TEMPTABLE VIEW b_fn AS SELECT a.id, f(a.id) AS ${'`f (x)`'} FROM a_dep a;
      SET NAMES latin1; CREATE VIEW v_latin AS SELECT 'é' AS c, COUNT(*) AS n FROM t; SET NAMES utf8mb4 COLLATE utf8mb4_unicode_ci; CREATE VIEW v_uni AS SELECT 'é' AS c, name COLLATE utf8mb4_bin AS d FROM t;`,
  },
  {
    title: 'a view that is broken: warned of, and all others are there',
    warns: ['broken'],
    oracle: ['--ignore-table=item.broken'],
    sql: sql`CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE gone (x int); CREATE VIEW broken AS SELECT x FROM gone; DROP TABLE gone; CREATE VIEW works AS SELECT id FROM t;`,
  },
  {
    title: 'triggers in their order, with sql_mode and charset of their making, several for one event',
    sql: sql`CREATE TABLE t (id int PRIMARY KEY, name varchar(60)); CREATE TABLE log (x varchar(60)); INSERT INTO t VALUES (1,'a');
      CREATE TRIGGER z BEFORE INSERT ON t FOR EACH ROW SET NEW.name = CONCAT(NEW.name, 'z');
      CREATE TRIGGER a BEFORE INSERT ON t FOR EACH ROW FOLLOWS z SET NEW.name = CONCAT(NEW.name, 'a'); CREATE TRIGGER m BEFORE INSERT ON t FOR EACH ROW PRECEDES z SET NEW.name = CONCAT(NEW.name, 'm');
      SET SESSION sql_mode='ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT';
      CREATE TRIGGER ansi AFTER UPDATE ON t FOR EACH ROW INSERT INTO log VALUES ('a\' || OLD."name");
      SET SESSION sql_mode=''; SET NAMES latin1; CREATE TRIGGER lat AFTER DELETE ON t FOR EACH ROW INSERT INTO log VALUES ('é'); SET NAMES utf8mb4;
DELIMITER //
      CREATE TRIGGER body AFTER INSERT ON t FOR EACH ROW BEGIN INSERT INTO log VALUES (';; $$ //*'); /* ; */ INSERT INTO log VALUES ('DELIMITER'); END//
DELIMITER ;`.replace("';; $$ //*'", "';; $$ /'"),
  },
  {
    title: 'routines: modes, charsets, security, comments, bodies with every sign that could end them',
    sql: sql`CREATE TABLE t (id int PRIMARY KEY);
DELIMITER //
      CREATE PROCEDURE p(IN a int, INOUT b varchar(20) CHARACTER SET latin1, OUT c decimal(10,2)) MODIFIES SQL DATA SQL SECURITY INVOKER COMMENT 'it''s é'
BEGIN
  -- a comment; with ; and 'quote
  DECLARE x int DEFAULT 0; # another
  /* and ; this */
  lp: LOOP SET x = x + 1; IF x > 3 THEN LEAVE lp; END IF; END LOOP;
  SELECT ';;', "$$", '\'', '||;' INTO b, b, b, b;
END//
      SET SESSION sql_mode='ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT'//
      CREATE FUNCTION f() RETURNS varchar(50) NO SQL RETURN 'a\' || "g"()//
      CREATE FUNCTION g() RETURNS varchar(50) NO SQL RETURN 'é;'//
      SET SESSION sql_mode=''//
      CREATE FUNCTION recent() RETURNS varchar(9) CHARACTER SET utf8mb4 DETERMINISTIC RETURN 'ends with a comment' -- here
//
DELIMITER ;`,
  },
  {
    title: 'packages in Oracle mode, aggregate functions',
    on: since({ mariadb: 100_500 }),
    sql: sql`SET SESSION sql_mode='ORACLE';
DELIMITER //
      CREATE PACKAGE pkg AS FUNCTION f RETURN int; PROCEDURE p(a int); END//
      CREATE PACKAGE BODY pkg AS v int := 3; FUNCTION f RETURN int AS BEGIN RETURN v; END; PROCEDURE p(a int) AS BEGIN SELECT a; END; BEGIN v := 4; END//
      CREATE PACKAGE bodyless AS FUNCTION f RETURN int; END//
      CREATE PROCEDURE ora(a IN OUT int) AS b int := 1; BEGIN a := a + b; END//
      SET SESSION sql_mode=''//
      CREATE AGGREGATE FUNCTION agg(x int) RETURNS int DETERMINISTIC BEGIN DECLARE s int DEFAULT 0; DECLARE CONTINUE HANDLER FOR NOT FOUND RETURN s; LOOP FETCH GROUP NEXT ROW; SET s = s + x; END LOOP; END//
DELIMITER ;`,
  },
  {
    title: 'events with their time zone, state, ends and comments',
    sql: sql`CREATE TABLE t (id int PRIMARY KEY);
      SET SESSION time_zone='+05:30'; CREATE EVENT ${'`e ``odd`'} ON SCHEDULE AT '2037-01-01 10:00:00' ON COMPLETION PRESERVE DISABLE COMMENT 'é' DO DELETE FROM t WHERE id = 99;
      SET SESSION time_zone='SYSTEM'; CREATE EVENT on_it ON SCHEDULE EVERY 1 MONTH STARTS '2036-02-01 00:00:00' ENDS '2036-12-01 00:00:00' ENABLE DO SELECT 1;
      SET SESSION sql_mode='ANSI_QUOTES,NO_BACKSLASH_ESCAPES'; CREATE EVENT ansi ON SCHEDULE EVERY '1:30' HOUR_MINUTE STARTS '2036-02-01 00:00:00' DO DELETE FROM "t" WHERE id = LENGTH('\');`,
  },
  {
    title: 'definers that are another user, one that does not exist, a role',
    on: mariadb,
    sql: sql`CREATE TABLE t (id int PRIMARY KEY); CREATE USER IF NOT EXISTS 'other'@'localhost'; GRANT ALL ON *.* TO 'other'@'localhost';
      CREATE DEFINER='other'@'localhost' VIEW v AS SELECT 1 AS one FROM t; CREATE DEFINER='other'@'localhost' TRIGGER tr BEFORE INSERT ON t FOR EACH ROW SET NEW.id = 1; CREATE DEFINER='other'@'localhost' FUNCTION f() RETURNS int NO SQL RETURN 1; CREATE DEFINER='other'@'localhost' EVENT e ON SCHEDULE EVERY 1 DAY STARTS '2037-01-01' DO SELECT 1;
      CREATE DEFINER='nobody'@'nowhere' PROCEDURE p() SELECT 1; CREATE DEFINER='nobody'@'nowhere' VIEW w AS SELECT id FROM t; CREATE DEFINER='no''bo${'`'}dy'@'%' PROCEDURE q() SELECT 1; CREATE ROLE IF NOT EXISTS maker; CREATE DEFINER=maker PROCEDURE r() SELECT 1;`,
  },
];

export const ITEMS: Readonly<Record<string, readonly Item[]>> = { values, tables, programs };
