-- create
CREATE TEMP TABLE IF NOT EXISTS scratch (id serial PRIMARY KEY, note text DEFAULT lower('X'))
=>
CREATE TEMP TABLE IF NOT EXISTS pg_temp."scratch" (id serial PRIMARY KEY, note text DEFAULT lower('X'))

-- the schema says it, too
CREATE TABLE pg_temp.scratch (id int REFERENCES other)
=>
CREATE TABLE pg_temp."scratch" (id int REFERENCES pg_temp."other")

-- like a table
CREATE TEMP TABLE scratch (LIKE countries INCLUDING ALL, x int) ON COMMIT DROP
=>
CREATE TEMP TABLE pg_temp."scratch" (LIKE "public"."countries" INCLUDING ALL, x int) ON COMMIT DROP

-- a part of another is a part of a temporary one
CREATE TEMP TABLE scratch () INHERITS (parent)
=>
CREATE TEMP TABLE pg_temp."scratch" () INHERITS (pg_temp."parent")

-- as a query
CREATE TEMP TABLE scratch AS SELECT code FROM countries
=>
CREATE TEMP TABLE pg_temp."scratch" AS SELECT code FROM "public"."countries"

-- select into
SELECT code INTO TEMP TABLE scratch FROM countries
=>
SELECT code INTO TEMP TABLE pg_temp."scratch" FROM "public"."countries"

-- reading
SELECT s.id FROM scratch s JOIN pg_temp.other USING (id) WHERE scratch IS NULL
=>
SELECT s.id FROM "pg_temp"."scratch" s JOIN "pg_temp"."other" USING (id) WHERE scratch IS NULL

-- writing
INSERT INTO scratch SELECT code FROM countries ON CONFLICT DO NOTHING
=>
INSERT INTO "pg_temp"."scratch" SELECT code FROM "public"."countries" ON CONFLICT DO NOTHING

-- changing
UPDATE scratch SET (id, note) = (SELECT 1, 'x') WHERE id = 1
=>
UPDATE "pg_temp"."scratch" SET (id, note) = (SELECT 1, 'x') WHERE id = 1

-- copy
COPY scratch (id) FROM STDIN
=>
COPY "pg_temp"."scratch" (id) FROM STDIN

-- copy out
COPY scratch TO STDOUT (FORMAT csv)
=>
COPY "pg_temp"."scratch" TO STDOUT (FORMAT csv)

-- index
CREATE UNIQUE INDEX scratch_id ON scratch (id) WHERE id > 1
=>
CREATE UNIQUE INDEX scratch_id ON pg_temp."scratch" (id) WHERE id > 1

-- alter
ALTER TABLE IF EXISTS ONLY scratch ADD COLUMN x int DEFAULT 7
=>
ALTER TABLE IF EXISTS ONLY pg_temp."scratch" ADD COLUMN x int DEFAULT 7

-- truncate
TRUNCATE TABLE scratch, pg_temp.other RESTART IDENTITY CASCADE
=>
TRUNCATE TABLE pg_temp."scratch", pg_temp."other" RESTART IDENTITY CASCADE

-- analyze
ANALYZE scratch (id)
=>
ANALYZE pg_temp."scratch" (id)

-- drop
DROP TABLE IF EXISTS "Scratch", pg_temp . other CASCADE
=>
DROP TABLE IF EXISTS pg_temp."Scratch", pg_temp."other" CASCADE

-- drop index
DROP INDEX scratch_id
=>
DROP INDEX pg_temp."scratch_id"

-- without a permission for tables of one's own [schema]
CREATE TEMP TABLE scratch AS SELECT 1 AS id
=>
CREATE TEMP TABLE pg_temp."scratch" AS SELECT 1 AS id

-- dropped without it [schema]
DROP TABLE scratch
=>
DROP TABLE pg_temp."scratch"

-- with the permission, too [schema-ddl]
CREATE TEMP TABLE scratch (id int)
=>
CREATE TEMP TABLE pg_temp."scratch" (id int)
