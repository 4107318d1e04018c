-- Every column type and every kind of object of MariaDB 10.11, with the values that are easy to lose.
SET NAMES utf8mb4;
SET SESSION sql_mode='ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION', time_zone='+00:00';

CREATE TABLE integers (
  id bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY,
  t tinyint, tu tinyint unsigned, tz tinyint(3) unsigned zerofill,
  s smallint, su smallint unsigned, m mediumint, mu mediumint unsigned,
  i int, iu int unsigned, iz int(8) unsigned zerofill, b bigint, bu bigint unsigned, bo boolean,
  d decimal(65,30), d2 decimal(10,0), d3 decimal(12,6) unsigned zerofill
) ENGINE=InnoDB;
INSERT INTO integers VALUES
 (0,-128,255,7,-32768,65535,-8388608,16777215,-2147483648,4294967295,42,-9223372036854775808,18446744073709551615,1,
  -99999999999999999999999999999999999.999999999999999999999999999999,9999999999,1.5),
 (1,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL),
 (18446744073709551000,127,0,0,32767,0,8388607,0,2147483647,0,0,9223372036854775807,0,0,0.000000000000000000000000000001,-9999999999,0);

CREATE TABLE floats (id int PRIMARY KEY, f float, f2 float(7,2), fu float unsigned zerofill, d double, d2 double(20,4), dz double zerofill);
INSERT INTO floats VALUES (1,0.1,1234.56,3.5,0.1,12345678.9012,2.5),(2,3.4028234e38,-99999.99,1e20,1.7976931348623157e308,-1e15,1e300),
 (3,1.17549435e-38,0.01,0,2.2250738585072014e-308,0.0001,0),(4,16777217,8388609.5,123456.789,9007199254740993,0,1/3),(5,-0.0,-0.0,0,-0.0,0,0),
 (6,NULL,NULL,NULL,NULL,NULL,NULL),(7,1e-45,0,0,4.9e-324,0,0),(8,0.333333333333,0.33,0.333333,0.3333333333333333,0.3333,0);

CREATE TABLE times (
  id int PRIMARY KEY, d date, dt datetime, dt3 datetime(3), dt6 datetime(6), ts timestamp NULL, ts6 timestamp(6) NULL,
  t time, t6 time(6), y year, y2 year(2), dd datetime NOT NULL DEFAULT '0000-00-00 00:00:00',
  cur timestamp NOT NULL DEFAULT current_timestamp() ON UPDATE current_timestamp()
);
INSERT INTO times VALUES
 (1,'0000-00-00','0000-00-00','0000-00-00','0000-00-00','0000-00-00','0000-00-00','-838:59:59','-838:59:59.999999','0000','69','0000-00-00','2001-01-01'),
 (2,'2020-02-31','2020-02-31 10:00:00','2020-02-31 10:00:00.123','9999-12-31 23:59:59.999999','2038-01-19 03:14:07','2038-01-19 03:14:07.999999','838:59:59','00:00:00.000001',2155,'70','1000-01-01','2001-01-01'),
 (3,'2020-00-00','2020-06-00','0001-01-01','2021-03-28 02:30:00.5','1970-01-01 00:00:01','2021-03-28 01:30:00.25','-00:00:01','12:34:56.789',1901,'00','2021-10-31 02:30:00','2021-10-31 00:30:00'),
 (4,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'2020-01-01','2020-01-01');

CREATE TABLE bits (id int PRIMARY KEY, b1 bit, b8 bit(8), b12 bit(12), b64 bit(64), bin binary(8), vb varbinary(300), tb tinyblob, bl blob, mb mediumblob, lb longblob);
INSERT INTO bits VALUES (1,b'1',b'11111111',b'101010101010',0xFFFFFFFFFFFFFFFF,0x00FF0A0D275C2009,0x00015C0A0D27221A,x'','',0xFFFE00,REPEAT(0x00FF5C0A,1000)),
 (2,b'0',0,0,0,'abc',REPEAT('x',300),0x5C4E,'\\N','NULL',x''),(3,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);

CREATE TABLE strings (
  id int PRIMARY KEY, c char(20), v varchar(255), tt tinytext, tx text, mt mediumtext, lt longtext,
  l1 varchar(100) CHARACTER SET latin1, l2 text CHARACTER SET latin2, a varchar(100) CHARACTER SET ascii,
  u3 varchar(100) CHARACTER SET utf8mb3 COLLATE utf8mb3_bin, u2 varchar(100) CHARACTER SET ucs2, u16 text CHARACTER SET utf16,
  u16le varchar(50) CHARACTER SET utf16le, u32 varchar(50) CHARACTER SET utf32, sj varchar(100) CHARACTER SET sjis, gb text CHARACTER SET gbk,
  b5 varchar(100) CHARACTER SET big5, cp varchar(100) CHARACTER SET cp1251, cp0 varchar(100) CHARACTER SET cp1250, gr char(30) CHARACTER SET greek, uj text CHARACTER SET ujis,
  bin varchar(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
  cmp varchar(2000) COMPRESSED, cmt text COMPRESSED, cmb blob COMPRESSED
) DEFAULT CHARSET=utf8mb4;
INSERT INTO strings (id,c,v,tt,tx,mt,lt,l1,l2,a,u3,u2,u16,u16le,u32,sj,gb,b5,cp,cp0,gr,uj,bin,cmp,cmt,cmb) VALUES
 (1,'  lead','trail  ','tab\there','new\nline','cr\r\nlf','nul\0byte \\ back ''quote'' "dq" `bt` \Z end','café €','žluťoučký','ascii~','ünï','漢字','😀 漢','😀','😀','表ソ','漢字表','功許','Привет','čeština','Ελλάδα','日本','bin','compressed','',0x00FF),
 (2,'','','','','','','','','','','','','','','','','','','','','','','','',''),
 (3,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL),
 (4,'\\N','NULL','\\','\\\\','\t\n\0\\t','Ã©Ã¨ double encoded','\\x5c','x','DELIMITER ;;','-- no comment','/* no */','#','a','b','c','d','e','f','g','h','i','j',REPEAT('z',2000),REPEAT('é',1000),REPEAT(0xAB,500));
UPDATE strings SET l1=UNHEX('808182838485868788898A8B8C8D8E8F909192939495969798999A9B9C9D9E9FA0FF'), cp=UNHEX('98C0FF'), cp0=UNHEX('81838890'), gr=UNHEX('E1A4') WHERE id=2;

CREATE TABLE choices (id int PRIMARY KEY, e enum('a','','3','é') NOT NULL, e2 enum('x','y','1','2'), s set('p','q','r s','é'), es enum('a','b') CHARACTER SET ucs2) DEFAULT CHARSET=utf8mb4;
INSERT INTO choices VALUES (1,'a','x','p,r s','b'),(2,'','1','',NULL),(3,'3','2',NULL,'a'),(4,'é',NULL,'p,q,r s,é','a');
INSERT IGNORE INTO choices VALUES (5,'nope','y','p','a'),(6,'a','nope','q','b'),(7,'zz','zz','q','zz');

CREATE TABLE modern (
  id uuid PRIMARY KEY DEFAULT uuid(), j json, i4 inet4, i6 inet6,
  def varchar(40) DEFAULT concat('a', 'b'), defn int DEFAULT (1 + 2), ex text DEFAULT 'text default', u uuid
) DEFAULT CHARSET=utf8mb4;
INSERT INTO modern (id,j,i4,i6,u) VALUES ('123e4567-e89b-12d3-a456-426655440000','{"a": [1, 2.50, "é\\n"], "b": null}','1.2.3.4','::ffff:1.2.3.4','00000000-0000-0000-0000-000000000000'),
 ('ffffffff-ffff-ffff-ffff-ffffffffffff',NULL,NULL,NULL,NULL),('00000000-0000-0000-0000-000000000001','[]','0.0.0.0','::','ffffffff-ffff-ffff-ffff-ffffffffffff');

CREATE TABLE shapes (id int PRIMARY KEY, g geometry NOT NULL, p point, l linestring, pg polygon, mp multipoint, ml multilinestring, mpg multipolygon, gc geometrycollection, ref point REF_SYSTEM_ID=4326 NOT NULL, SPATIAL KEY (g), KEY (id));
INSERT INTO shapes VALUES (1,ST_GeomFromText('POINT(1 2)'),ST_GeomFromText('POINT(1.5 -2.25)',4326),ST_GeomFromText('LINESTRING(0 0,1 1,2 2)'),ST_GeomFromText('POLYGON((0 0,10 0,10 10,0 10,0 0))'),
 ST_GeomFromText('MULTIPOINT(0 0,1 1)'),ST_GeomFromText('MULTILINESTRING((0 0,1 1),(2 2,3 3))'),ST_GeomFromText('MULTIPOLYGON(((0 0,1 0,1 1,0 0)))'),ST_GeomFromText('GEOMETRYCOLLECTION(POINT(1 1),LINESTRING(0 0,1 1))'),ST_GeomFromText('POINT(6 47)',4326)),
 (2,ST_GeomFromText('LINESTRING(0 0,9 9)'),NULL,NULL,NULL,NULL,NULL,NULL,NULL,ST_GeomFromText('POINT(0 0)',4326));

CREATE TABLE computed (
  id int PRIMARY KEY AUTO_INCREMENT, a int, b int GENERATED ALWAYS AS (a * 2) VIRTUAL, c varchar(20) GENERATED ALWAYS AS (concat('v', a)) STORED,
  hidden int INVISIBLE DEFAULT 5, hidden2 varchar(10) NOT NULL INVISIBLE DEFAULT 'x',
  chk int CHECK (chk > 0), CONSTRAINT positive CHECK (a >= 0 OR a < -10), KEY (b), KEY c_idx (c), UNIQUE KEY long_unique (id, c)
) AUTO_INCREMENT=1000;
INSERT INTO computed (id,a,hidden,hidden2,chk) VALUES (1,10,77,'seen',1),(2,NULL,NULL,'y',NULL);
SET check_constraint_checks=0; INSERT INTO computed (id,a,chk) VALUES (3,-5,-1); SET check_constraint_checks=1;

CREATE TABLE only_computed (a int GENERATED ALWAYS AS (1) VIRTUAL, b int) COMMENT='it''s a "comment" with \\ and\nnewline';
INSERT INTO only_computed (b) VALUES (1),(NULL);

CREATE TABLE `odd ``name`` é/ü.` (`col ``a`` (x), y` int, `sel'ect` text, `KEY z` int, `new
line` int DEFAULT 3, PRIMARY KEY (`col ``a`` (x), y`), KEY `k,1 (` (`KEY z`), KEY `k``2` (`sel'ect`(5) ) COMMENT 'a, b (c') COMMENT='KEY `x` (`y`),';
INSERT INTO `odd ``name`` é/ü.` VALUES (1,'a',2,3),(-1,'b',2,NULL);
CREATE TABLE `日本語` (`ключ` varchar(50) NOT NULL PRIMARY KEY, `Größe` int) DEFAULT CHARSET=utf8mb4;
INSERT INTO `日本語` VALUES ('ä',1),('ß',2),('',3),('😀',4);
CREATE TABLE `trailing.` (id int); CREATE TABLE `Case` (id int PRIMARY KEY, `primary` int, `order` int, UNIQUE KEY `group` (`order`)); INSERT INTO `Case` VALUES (1,2,3);

CREATE TABLE auto_secondary (a int NOT NULL, id int NOT NULL AUTO_INCREMENT, b int, PRIMARY KEY (a), UNIQUE KEY u (b), KEY kb (b), KEY kid (id), KEY kz (b,a)) AUTO_INCREMENT=700;
INSERT INTO auto_secondary VALUES (1,0,5),(2,5,6);
CREATE TABLE no_key (a int, b varchar(20)); INSERT INTO no_key VALUES (1,'x'),(1,'x'),(NULL,NULL),(2,'');
CREATE TABLE unique_only (a int NOT NULL, b varchar(20) NOT NULL, c int, UNIQUE KEY uc (c), UNIQUE KEY ua (a), UNIQUE KEY ub (b), KEY kc (c)); INSERT INTO unique_only VALUES (2,'b',NULL),(1,'a',NULL);
CREATE TABLE texts (id int PRIMARY KEY, t text, u varchar(200), v text, FULLTEXT KEY ft1 (t), KEY ku (u(10)), FULLTEXT KEY ft2 (u, v), UNIQUE KEY uhash (v) USING HASH); INSERT INTO texts VALUES (1,'some words','here','long'),(2,'more words','there',NULL);
CREATE TABLE empty_table (id int PRIMARY KEY AUTO_INCREMENT, a int DEFAULT 7) AUTO_INCREMENT=4242;
CREATE TABLE binary_default (id int PRIMARY KEY, b binary(3) DEFAULT 0xFFFE00, v varbinary(4) DEFAULT 0x00C3, h varchar(5) CHARACTER SET latin1 DEFAULT 'é'); INSERT INTO binary_default (id) VALUES (1);
CREATE TABLE period (id int, s date NOT NULL, e date NOT NULL, PERIOD FOR valid (s, e), UNIQUE KEY up (id, valid WITHOUT OVERLAPS)); INSERT INTO period VALUES (1,'2020-01-01','2021-01-01');
CREATE TABLE hash_ids (k varbinary(16) NOT NULL, n int NOT NULL, x enum('q','w') NOT NULL DEFAULT 'q', PRIMARY KEY (k, n)); INSERT INTO hash_ids VALUES ('',0,'q'),(0x00,1,'w'),(0xFF5C27,2,'q');

CREATE TABLE parent (id int PRIMARY KEY, child_id int, self int, name varchar(20), KEY (name), CONSTRAINT fk_self FOREIGN KEY (self) REFERENCES parent (id) ON DELETE SET NULL) ENGINE=InnoDB;
CREATE TABLE a_child (id int PRIMARY KEY, parent_id int, CONSTRAINT `fk ``odd``` FOREIGN KEY (parent_id) REFERENCES parent (id) ON DELETE CASCADE ON UPDATE CASCADE) ENGINE=InnoDB;
ALTER TABLE parent ADD CONSTRAINT fk_cycle FOREIGN KEY (child_id) REFERENCES a_child (id);
SET foreign_key_checks=0; INSERT INTO parent VALUES (1,1,1,'a'),(2,NULL,1,'b'),(3,999,NULL,'orphan'); INSERT INTO a_child VALUES (1,1),(2,888); SET foreign_key_checks=1;

CREATE TABLE parts_range (id int NOT NULL, d date NOT NULL, v int, PRIMARY KEY (id, d), KEY (v)) PARTITION BY RANGE (YEAR(d)) (PARTITION p0 VALUES LESS THAN (2020), PARTITION `p 1` VALUES LESS THAN (2021) COMMENT = 'x, (y', PARTITION p2 VALUES LESS THAN MAXVALUE);
INSERT INTO parts_range VALUES (1,'2019-01-01',1),(2,'2020-06-01',2),(3,'2030-01-01',3);
CREATE TABLE parts_key (id int NOT NULL PRIMARY KEY, v varchar(20)) PARTITION BY KEY () PARTITIONS 4; INSERT INTO parts_key VALUES (1,'a'),(2,'b'),(3,'c'),(4,'d');
CREATE TABLE parts_list (id int, r char(2)) PARTITION BY LIST COLUMNS (r) SUBPARTITION BY HASH (id) SUBPARTITIONS 2 (PARTITION eu VALUES IN ('FR','CH'), PARTITION other VALUES IN ('US', NULL)); INSERT INTO parts_list VALUES (1,'FR'),(2,'US'),(3,NULL);

CREATE TABLE versioned (id int PRIMARY KEY, v varchar(20), KEY (v)) WITH SYSTEM VERSIONING;
INSERT INTO versioned VALUES (1,'first'),(2,'second'); UPDATE versioned SET v='changed' WHERE id=1; DELETE FROM versioned WHERE id=2;
CREATE TABLE versioned2 (id int PRIMARY KEY, v int, w int WITHOUT SYSTEM VERSIONING, rs timestamp(6) GENERATED ALWAYS AS ROW START INVISIBLE, re timestamp(6) GENERATED ALWAYS AS ROW END, PERIOD FOR SYSTEM_TIME (rs, re)) WITH SYSTEM VERSIONING;
INSERT INTO versioned2 (id,v,w) VALUES (1,1,1); UPDATE versioned2 SET v=2; UPDATE versioned2 SET w=2;
CREATE TABLE versioned_parts (id int, v int) WITH SYSTEM VERSIONING PARTITION BY SYSTEM_TIME (PARTITION p0 HISTORY, PARTITION pc CURRENT); INSERT INTO versioned_parts VALUES (1,1); UPDATE versioned_parts SET v=2;

CREATE TABLE my_isam (id int NOT NULL AUTO_INCREMENT, a varchar(10) NOT NULL DEFAULT '', t text, PRIMARY KEY (a, id), FULLTEXT KEY (t), KEY ka (a)) ENGINE=MyISAM AUTO_INCREMENT=3 DEFAULT CHARSET=latin1 PACK_KEYS=1;
INSERT INTO my_isam VALUES (1,'g','one'),(2,'g','two'),(1,'h','é');
CREATE TABLE aria_t (id int PRIMARY KEY, v int, KEY (v)) ENGINE=Aria TRANSACTIONAL=1 PAGE_CHECKSUM=1; INSERT INTO aria_t VALUES (1,1),(2,NULL);
CREATE TABLE memory_t (id int PRIMARY KEY, v varchar(10), KEY (v) USING BTREE) ENGINE=MEMORY; INSERT INTO memory_t VALUES (1,'m');
CREATE TABLE csv_t (id int NOT NULL, v varchar(10) NOT NULL) ENGINE=CSV; INSERT INTO csv_t VALUES (1,'c');
CREATE TABLE merge_1 (id int NOT NULL, KEY (id)) ENGINE=MyISAM; CREATE TABLE a_merge (id int NOT NULL, KEY (id)) ENGINE=MERGE UNION=(merge_1) INSERT_METHOD=LAST; INSERT INTO merge_1 VALUES (7);
CREATE TABLE compressed_rows (id int PRIMARY KEY, t text) ENGINE=InnoDB ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE=8; INSERT INTO compressed_rows VALUES (1,REPEAT('abc',500));

CREATE SEQUENCE seq1 START WITH 100 INCREMENT BY 10 MINVALUE 50 MAXVALUE 1000 CYCLE CACHE 5; DO NEXTVAL(seq1), NEXTVAL(seq1);
CREATE SEQUENCE `seq ``2``` START WITH -1 INCREMENT BY -1 MINVALUE -1000 MAXVALUE -1 NOCACHE; DO NEXTVAL(`seq ``2```);
CREATE TABLE uses_sequence (id int PRIMARY KEY DEFAULT nextval(seq1), v int); INSERT INTO uses_sequence (v) VALUES (1),(2);

DELIMITER //
CREATE FUNCTION f_view(x int) RETURNS int DETERMINISTIC READS SQL DATA COMMENT 'it''s é' RETURN (SELECT COUNT(*) FROM parent) + x//
CREATE PROCEDURE p_out(IN a int, INOUT b varchar(20) CHARACTER SET latin1, OUT c decimal(10,2))
    MODIFIES SQL DATA SQL SECURITY INVOKER
BEGIN
  -- a comment; with ; and 'quote
  DECLARE x int DEFAULT 0; # another
  /* and ; this */
  lp: LOOP SET x = x + 1; IF x > 3 THEN LEAVE lp; END IF; END LOOP;
  INSERT INTO integers (t) VALUES (x); SELECT ';;', "//", '\'' INTO b, b, b;
END//
SET SESSION sql_mode='ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT'//
CREATE FUNCTION f_mode() RETURNS varchar(50) NO SQL RETURN 'a\' || "fx"()//
CREATE FUNCTION fx() RETURNS varchar(50) NO SQL RETURN 'é;'//
SET SESSION sql_mode='ORACLE'//
CREATE PACKAGE pkg AS FUNCTION f RETURN int; PROCEDURE p(a int); END//
CREATE PACKAGE BODY pkg AS v int := 3; FUNCTION f RETURN int AS BEGIN RETURN v; END; PROCEDURE p(a int) AS BEGIN SELECT a; END; BEGIN v := 4; END//
SET SESSION sql_mode='ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION'//
CREATE AGGREGATE FUNCTION agg(x int) RETURNS int DETERMINISTIC BEGIN DECLARE s int DEFAULT 0; DECLARE CONTINUE HANDLER FOR NOT FOUND RETURN s; LOOP FETCH GROUP NEXT ROW; SET s = s + x; END LOOP; END//
CREATE TRIGGER tr_b BEFORE INSERT ON parent FOR EACH ROW SET NEW.name = CONCAT(NEW.name, 'b')//
CREATE TRIGGER tr_a BEFORE INSERT ON parent FOR EACH ROW PRECEDES tr_b BEGIN SET NEW.name = CONCAT(NEW.name, ';', 'é'); END//
CREATE TRIGGER tr_c BEFORE INSERT ON parent FOR EACH ROW FOLLOWS tr_a SET NEW.name = LEFT(NEW.name, 20)//
CREATE TRIGGER `tr ``odd```  AFTER DELETE ON `odd ``name`` é/ü.` FOR EACH ROW DELETE FROM no_key WHERE a = OLD.`col ``a`` (x), y`//
SET NAMES latin1//
CREATE TRIGGER tr_latin AFTER UPDATE ON parent FOR EACH ROW SET @x = '�'//
CREATE FUNCTION f_latin() RETURNS varchar(9) NO SQL RETURN '�t�'//
CREATE VIEW v_latin AS SELECT '�t�' AS c//
CREATE EVENT e_latin ON SCHEDULE EVERY 2 HOUR STARTS '2030-01-01 00:00:00' DO SET @x = '�'//
SET NAMES utf8mb4 COLLATE utf8mb4_unicode_ci//
SET SESSION time_zone='+05:30'//
CREATE EVENT `e ``odd```  ON SCHEDULE AT '2037-01-01 10:00:00' ON COMPLETION PRESERVE DISABLE COMMENT 'é' DO BEGIN DELETE FROM no_key WHERE a = 99; SELECT 1; END//
SET SESSION time_zone='SYSTEM'//
CREATE EVENT e_on ON SCHEDULE EVERY 1 MONTH STARTS '2036-02-01 00:00:00' ENDS '2036-12-01 00:00:00' ENABLE DO SELECT 1//
DELIMITER ;
SET NAMES utf8mb4; SET SESSION time_zone='+00:00';
CREATE VIEW z_base AS SELECT id, name FROM parent WHERE name <> 'é"\\';
CREATE ALGORITHM=MERGE SQL SECURITY INVOKER VIEW a_dependent AS SELECT z.id, z.name, f_view(z.id) AS `f (x)` FROM z_base z WITH LOCAL CHECK OPTION;
CREATE VIEW `m ``odd``` AS SELECT d.* FROM a_dependent d JOIN parent p ON p.id = d.id;
CREATE USER IF NOT EXISTS `definer`@`localhost`; GRANT SELECT, EXECUTE ON *.* TO `definer`@`localhost`;
CREATE DEFINER=`definer`@`localhost` SQL SECURITY DEFINER VIEW v_definer AS SELECT 1 AS one, agg(id) AS s FROM integers;
