-- schema: names are qualified [schema]
SELECT o.id, orders.total FROM orders o, customers JOIN initech.orders ON true
=>
SELECT o.id, orders.total FROM "initech"."orders" o, "initech"."customers" JOIN "initech"."orders" ON true

-- schema: three parts [schema]
SELECT initech.orders.id FROM initech.orders
=>
SELECT initech.orders.id FROM "initech"."orders"

-- schema: unknown names are PostgreSQL's matter [schema]
SELECT * FROM not_there
=>
SELECT * FROM not_there

-- schema: writes [schema]
UPDATE orders SET total = 7 WHERE id IN (SELECT id FROM customers)
=>
UPDATE "initech"."orders" SET total = 7 WHERE id IN (SELECT id FROM "initech"."customers")

-- schema: cte [schema]
WITH orders AS (SELECT * FROM orders) SELECT * FROM orders
=>
WITH orders AS (SELECT * FROM "initech"."orders") SELECT * FROM orders

-- database: text passes [database]
SELECT * FROM orders JOIN globex.orders g USING (id)
=>
SELECT * FROM orders JOIN globex.orders g USING (id)

-- schema: create table [schema-ddl]
CREATE TABLE IF NOT EXISTS items (id serial PRIMARY KEY, order_id int REFERENCES initech.orders (id), at timestamptz DEFAULT now(), CHECK (id > 7))
=>
CREATE TABLE IF NOT EXISTS items (id serial PRIMARY KEY, order_id int REFERENCES initech.orders (id), at timestamptz DEFAULT now(), CHECK (id > 7))

-- schema: alter, index, drop [schema-ddl]
ALTER TABLE orders ADD COLUMN x int DEFAULT 7, ALTER note SET NOT NULL; CREATE INDEX i ON initech.orders (lower(note)); DROP INDEX i; ALTER TABLE orders RENAME COLUMN x TO y
=>
ALTER TABLE orders ADD COLUMN x int DEFAULT 7, ALTER note SET NOT NULL; CREATE INDEX i ON initech.orders (lower(note)); DROP INDEX i; ALTER TABLE orders RENAME COLUMN x TO y

-- schema: view and table from a query [schema-ddl]
CREATE VIEW v AS SELECT * FROM orders; CREATE TABLE t AS SELECT * FROM orders
=>
CREATE VIEW v AS SELECT * FROM "initech"."orders"; CREATE TABLE t AS SELECT * FROM "initech"."orders"

-- schema: comment, type, sequence [schema-ddl]
COMMENT ON COLUMN orders.note IS 'x'; CREATE TYPE initech.mood AS ENUM ('ok'); CREATE SEQUENCE s OWNED BY orders.id; TRUNCATE orders
=>
COMMENT ON COLUMN orders.note IS 'x'; CREATE TYPE initech.mood AS ENUM ('ok'); CREATE SEQUENCE s OWNED BY orders.id; TRUNCATE orders

-- schema: domain, composite type, refresh, analyze, select into [schema-ddl]
CREATE DOMAIN amount AS int CHECK (value > 0); CREATE TYPE pair AS (a int, b text); REFRESH MATERIALIZED VIEW initech.m; ANALYZE orders; SELECT id INTO copied FROM orders
=>
CREATE DOMAIN amount AS int CHECK (value > 0); CREATE TYPE pair AS (a int, b text); REFRESH MATERIALIZED VIEW initech.m; ANALYZE orders; SELECT id INTO copied FROM "initech"."orders"

-- stored code of a tenant that is alone on its target [schema-code]
CREATE FUNCTION f(a int DEFAULT 1) RETURNS int LANGUAGE sql AS $$ SELECT 1 $$; CREATE OR REPLACE PROCEDURE initech.p() LANGUAGE plpgsql AS 'BEGIN END'; DO 'BEGIN END'; CALL p(); CREATE TRIGGER t BEFORE UPDATE ON orders FOR EACH ROW WHEN (new.id > 1) EXECUTE FUNCTION f(); DROP TRIGGER t ON orders; DROP FUNCTION f(int)
=>
CREATE FUNCTION f(a int DEFAULT 1) RETURNS int LANGUAGE sql AS $$ SELECT 1 $$; CREATE OR REPLACE PROCEDURE initech.p() LANGUAGE plpgsql AS 'BEGIN END'; DO 'BEGIN END'; CALL p(); CREATE TRIGGER t BEFORE UPDATE ON orders FOR EACH ROW WHEN (new.id > 1) EXECUTE FUNCTION f(); DROP TRIGGER t ON orders; DROP FUNCTION f(int)

-- and its calls [schema-code]
SELECT newest_secret(), f.x FROM mine.f(1) f(x)
=>
SELECT newest_secret(), f.x FROM mine.f(1) f(x)

-- database: schemas, reviewed extensions, range types [database-ddl]
CREATE SCHEMA IF NOT EXISTS s; CREATE EXTENSION IF NOT EXISTS hstore WITH SCHEMA s; CREATE TYPE s.r AS RANGE (SUBTYPE = text, COLLATION = "C"); DROP SCHEMA s, t CASCADE; DROP EXTENSION hstore
=>
CREATE SCHEMA IF NOT EXISTS s; CREATE EXTENSION IF NOT EXISTS hstore WITH SCHEMA s; CREATE TYPE s.r AS RANGE (SUBTYPE = text, COLLATION = "C"); DROP SCHEMA s, t CASCADE; DROP EXTENSION hstore

-- database: a table may be called pg_… [database-ddl]
CREATE TABLE pg_pipeline (id int)
=>
CREATE TABLE pg_pipeline (id int)

-- database: COPY is PostgreSQL's matter, which knows the columns of now [database]
COPY orders (id, added_in_this_transaction) FROM STDIN; COPY orders TO STDOUT
=>
COPY orders (id, added_in_this_transaction) FROM STDIN; COPY orders TO STDOUT

-- database: the session's own statements, cursors and prepared transactions [database]
SELECT name FROM pg_catalog.pg_prepared_statements; SELECT name FROM pg_catalog.pg_cursors; SELECT gid FROM pg_catalog.pg_prepared_xacts
=>
SELECT name FROM (SELECT x.* FROM pg_catalog."pg_prepared_statements" AS x WHERE NOT x.name OPERATOR(pg_catalog.~) '^(tg[0-9a-f]{16}_[0-9]+|tenantgate_copy_[0-9a-f]{16})$' OFFSET 0) AS "pg_prepared_statements"; SELECT name FROM (SELECT x.* FROM pg_catalog."pg_cursors" AS x WHERE true OFFSET 0) AS "pg_cursors"; SELECT gid FROM (SELECT x.* FROM pg_catalog."pg_prepared_xacts" AS x WHERE x.database OPERATOR(pg_catalog.=) pg_catalog.current_database() OFFSET 0) AS "pg_prepared_xacts"

-- two-phase commit of who is alone on the target [database-code]
PREPARE TRANSACTION 'x'; COMMIT PREPARED 'x'; ROLLBACK PREPARED 'x'
=>
PREPARE TRANSACTION 'x'; COMMIT PREPARED 'x'; ROLLBACK PREPARED 'x'
