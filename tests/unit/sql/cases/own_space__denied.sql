-- schema: another tenant's [schema]
SELECT * FROM globex.orders
=>
42501 permission denied for schema globex

-- schema: another tenant's in an expression [schema]
SELECT (SELECT max(id) FROM globex.orders)
=>
42501 permission denied for schema globex

-- schema: public [schema]
SELECT * FROM public.orders
=>
42501 permission denied for schema public

-- schema: ddl needs the permission [schema]
CREATE TABLE x (id int)
=>
42501 permission denied: CREATE TABLE

-- schema: ddl elsewhere [schema-ddl]
CREATE TABLE globex.x (id int)
=>
42501 permission denied for schema globex

-- schema: foreign key elsewhere [schema-ddl]
CREATE TABLE x (id int REFERENCES globex.orders)
=>
42501 permission denied for schema globex

-- schema: drop elsewhere [schema-ddl]
DROP TABLE orders, globex.orders
=>
42501 permission denied for schema globex

-- schema: type elsewhere [schema-ddl]
CREATE TABLE x (m globex.mood)
=>
42501 permission denied for schema globex

-- schema: comment elsewhere [schema-ddl]
COMMENT ON COLUMN globex.orders.id IS 'x'
=>
42501 permission denied for schema globex

-- schema: rename elsewhere [schema-ddl]
ALTER TABLE globex.orders RENAME TO x
=>
42501 permission denied for schema globex

-- schema: sequence owned elsewhere [schema-ddl]
CREATE SEQUENCE s OWNED BY globex.orders.id
=>
42501 permission denied for schema globex

-- schema: view over elsewhere [schema-ddl]
CREATE VIEW v AS SELECT * FROM globex.orders
=>
42501 permission denied for schema globex

-- schema: drop cascade [schema-ddl]
DROP TABLE orders CASCADE
=>
0A000 CASCADE is not supported through this gateway

-- schema: drop column cascade [schema-ddl]
ALTER TABLE orders DROP COLUMN id CASCADE
=>
0A000 CASCADE is not supported through this gateway

-- schema: truncate cascade [schema]
TRUNCATE orders CASCADE
=>
0A000 CASCADE is not supported through this gateway

-- schema: set schema [schema-ddl]
ALTER TABLE orders SET SCHEMA globex
=>
0A000 ALTER SET SCHEMA is not supported through this gateway

-- schema: owner [schema-ddl]
ALTER TABLE orders OWNER TO x
=>
0A000 ALTER TABLE ChangeOwner is not supported through this gateway

-- schema: row security [schema-ddl]
ALTER TABLE orders DISABLE ROW LEVEL SECURITY
=>
0A000 ALTER TABLE DisableRowSecurity is not supported through this gateway

-- schema: function in a default [schema-ddl]
CREATE TABLE x (a text DEFAULT pg_read_file('x'))
=>
42883 function pg_read_file does not exist

-- schema: a catalog that is not known [schema]
SELECT * FROM pg_new_catalog
=>
42501 permission denied for relation pg_new_catalog

-- database: an extension's view of the server [database]
SELECT * FROM public.pg_stat_statements
=>
42501 permission denied for relation pg_stat_statements

-- schema: path [schema]
SET search_path = globex
=>
42501 permission denied to set parameter "search_path"

-- schema: truncate elsewhere [schema]
TRUNCATE globex.orders
=>
42501 permission denied for schema globex

-- database: catalog schemas [database]
SELECT * FROM pg_toast.pg_toast_1
=>
42501 permission denied for schema pg_toast

-- stored code where others are on the target [schema-ddl]
CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'
=>
42501 permission denied: CREATE FUNCTION

-- do where others are on the target [schema-ddl]
DO 'BEGIN END'
=>
42501 permission denied: DO

-- call where others are on the target [schema-ddl]
CALL p()
=>
42501 permission denied: CALL

-- a function in another schema [schema-code]
CREATE FUNCTION globex.f() RETURNS int LANGUAGE sql AS 'SELECT 1'
=>
42501 permission denied for schema globex

-- a trigger's function in another schema [schema-code]
CREATE TRIGGER t BEFORE UPDATE ON orders EXECUTE FUNCTION globex.f()
=>
42501 permission denied for schema globex

-- another language [schema-code]
DO LANGUAGE plpython3u 'import os'
=>
0A000 language plpython3u is not supported through this gateway

-- a body that is parsed at once [schema-code]
CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; END
=>
0A000 a body without quotes is not supported through this gateway

-- drop function where others are on the target [schema-ddl]
DROP FUNCTION f()
=>
0A000 DROP of this kind of object is not supported through this gateway

-- vacuum of everything [schema-ddl]
VACUUM
=>
0A000 VACUUM without a table is not supported through this gateway

-- vacuum of another's [schema-ddl]
ANALYZE globex.orders
=>
42501 permission denied for schema globex

-- vacuum needs the permission [schema]
VACUUM orders
=>
42501 permission denied: VACUUM

-- select into needs the permission [schema]
SELECT 1 AS id INTO x
=>
42501 permission denied: SELECT INTO

-- a schema where others have theirs [schema-ddl]
CREATE SCHEMA s
=>
0A000 CREATE SCHEMA is not supported through this gateway

-- a schema needs the permission [database]
CREATE SCHEMA s
=>
42501 permission denied: CREATE SCHEMA

-- a schema of the server [database-ddl]
DROP SCHEMA information_schema CASCADE
=>
42501 permission denied for schema information_schema

-- a schema for somebody else [database-ddl]
CREATE SCHEMA s AUTHORIZATION postgres
=>
0A000 CREATE SCHEMA with an owner or with its tables is not supported through this gateway

-- a schema together with its tables [database-ddl]
CREATE SCHEMA s CREATE TABLE t (id int)
=>
0A000 CREATE SCHEMA with an owner or with its tables is not supported through this gateway

-- an extension that nobody has read [database-ddl]
CREATE EXTENSION dblink
=>
0A000 extension dblink is not supported through this gateway

-- an extension of another version, or with others [database-ddl]
CREATE EXTENSION earthdistance CASCADE
=>
0A000 CREATE EXTENSION … CASCADE is not supported through this gateway

-- an extension among the server's own [database-ddl]
CREATE EXTENSION hstore SCHEMA pg_catalog
=>
42501 permission denied for schema pg_catalog

-- a range type with code of its own, where others are on the target [database-ddl]
CREATE TYPE r AS RANGE (SUBTYPE = float8, SUBTYPE_DIFF = f)
=>
0A000 a range type with SUBTYPE_DIFF is not supported through this gateway

-- two-phase commit where others are on the target [database-ddl]
PREPARE TRANSACTION 'x'
=>
0A000 two-phase commit is not supported through this gateway

-- a relation called pg_… that may be an extension's view of the whole server [database]
SELECT * FROM pg_stat_statements
=>
42501 permission denied for relation pg_stat_statements

-- an extension that somebody else put there [database-ddl]
DROP EXTENSION hstore, dblink
=>
0A000 extension dblink is not supported through this gateway
