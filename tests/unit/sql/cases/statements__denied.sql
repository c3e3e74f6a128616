-- explain analyze
EXPLAIN ANALYZE SELECT * FROM orders
=>
0A000 EXPLAIN ANALYZE is not supported: it would tell of other tenants' rows

-- explain buffers
EXPLAIN (BUFFERS) SELECT * FROM orders
=>
0A000 EXPLAIN BUFFERS is not supported: it would tell of other tenants' rows

-- explain execute
EXPLAIN EXECUTE p
=>
0A000 EXPLAIN is supported for SELECT, INSERT, UPDATE and DELETE only

-- execute with an expression
EXECUTE p (1 + 7)
=>
0A000 EXECUTE takes constants and parameters only

-- execute with a function
EXECUTE p (now())
=>
0A000 EXECUTE takes constants and parameters only

-- execute with a query
EXECUTE p ((SELECT note FROM orders))
=>
0A000 EXECUTE takes constants and parameters only

-- two-phase commit
PREPARE TRANSACTION 'x'
=>
0A000 two-phase commit is not supported through this gateway

-- role
SET ROLE postgres
=>
42501 permission denied to set parameter "role"

-- identity
SET SESSION AUTHORIZATION postgres
=>
42501 permission denied to set parameter "session_authorization"

-- search_path
SET search_path TO globex
=>
42501 permission denied to set parameter "search_path"

-- search_path with more
SET search_path TO public, globex
=>
42501 permission denied to set parameter "search_path"

-- set schema
SET SCHEMA 'globex'
=>
42501 permission denied to set parameter "search_path"

-- strings
SET standard_conforming_strings = off
=>
42501 permission denied to set parameter "standard_conforming_strings"

-- encoding
SET NAMES 'SJIS'
=>
42501 permission denied to set parameter "client_encoding"

-- memory
SET work_mem = '1GB'
=>
42501 permission denied to set parameter "work_mem"

-- custom setting
SET app.tenant = 'globex'
=>
42501 permission denied to set parameter "app.tenant"

-- snapshot
SET TRANSACTION SNAPSHOT 'x'
=>
0A000 snapshots cannot be imported

-- set_config of the path
SELECT set_config('search_path', 'globex', false)
=>
42501 permission denied to set parameter "search_path"

-- set_config by parameter
SELECT set_config($1, 'x', false)
=>
42501 set_config needs the setting's name as a constant

-- set_config by expression
SELECT set_config('ro' || 'le', 'x', false)
=>
42501 set_config needs the setting's name as a constant

-- set_config named
SELECT set_config(setting_name => 'role', new_value => 'x', is_local => false)
=>
42501 set_config needs the setting's name as a constant

-- set_config in a query
SELECT id FROM orders WHERE set_config('role', note, false) IS NULL
=>
42501 set_config needs the setting's value as a constant or a parameter

-- show
SHOW data_directory
=>
42501 permission denied to examine "data_directory"

-- show all
SHOW ALL
=>
42501 permission denied to examine "all"

-- constraints by name
SET CONSTRAINTS a DEFERRED
=>
0A000 SET CONSTRAINTS names constraints that are not your own

-- lock
LOCK TABLE orders
=>
0A000 LOCK TABLE is not supported through this gateway

-- do
DO $$BEGIN END$$
=>
0A000 DO is not supported through this gateway

-- call
CALL p()
=>
0A000 CALL is not supported through this gateway

-- create function
CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'
=>
0A000 CREATE FUNCTION is not supported through this gateway

-- grant
GRANT SELECT ON orders TO public
=>
0A000 GRANT is not supported through this gateway

-- create role
CREATE ROLE x
=>
0A000 CREATE ROLE is not supported through this gateway

-- vacuum
VACUUM orders
=>
0A000 VACUUM is not supported through this gateway

-- truncate
TRUNCATE orders
=>
0A000 TRUNCATE TABLE is not supported through this gateway

-- create table
CREATE TABLE x (id int)
=>
0A000 CREATE TABLE is not supported through this gateway

-- a temporary table may not have the name of another
CREATE TEMP TABLE orders (id int)
=>
42P07 relation "orders" already exists

-- nor that of one of the server's
SELECT 1 AS id INTO TEMP pg_class
=>
42P07 relation "pg_class" already exists

-- a temporary table's default
CREATE TEMP TABLE x (id int DEFAULT pg_backend_pid(), note text DEFAULT newest_secret())
=>
42501 function newest_secret is not allowed

-- a temporary table of a query that may not be
CREATE TEMP TABLE x AS EXECUTE p
=>
0A000 CREATE TABLE AS EXECUTE is not supported through this gateway

-- a temporary table somewhere
CREATE TEMP TABLE x (id int) TABLESPACE fast
=>
0A000 choosing storage is not supported through this gateway

-- truncate
TRUNCATE orders
=>
0A000 TRUNCATE TABLE is not supported through this gateway

-- truncate of several
TRUNCATE scratch, orders
=>
0A000 TRUNCATE TABLE is not supported through this gateway

-- drop table
DROP TABLE scratch, orders
=>
0A000 DROP is not supported through this gateway

-- drop of a qualified table
DROP TABLE public.scratch
=>
0A000 DROP is not supported through this gateway

-- vacuum
VACUUM
=>
0A000 VACUUM is not supported through this gateway

-- select into
SELECT * INTO x FROM orders
=>
0A000 SELECT INTO is not supported through this gateway

-- select into in a sub-select
SELECT * FROM (SELECT 1 INTO TEMP x) s
=>
0A000 SELECT INTO is not supported here

-- create table as
CREATE TABLE x AS SELECT * FROM orders
=>
0A000 CREATE TABLE AS is not supported through this gateway

-- refresh
REFRESH MATERIALIZED VIEW x
=>
0A000 REFRESH MATERIALIZED VIEW is not supported through this gateway

-- alter system
ALTER SYSTEM SET work_mem = '1GB'
=>
0A000 ALTER SYSTEM is not supported through this gateway

-- copy program
COPY orders TO PROGRAM 'x'
=>
42501 COPY to or from a file or program of the server is not allowed

-- policy
ALTER TABLE orders DISABLE ROW LEVEL SECURITY
=>
0A000 ALTER TABLE is not supported through this gateway

-- merge that joins in full
MERGE INTO orders o USING customers c ON o.id + 1 = c.id WHEN NOT MATCHED THEN INSERT (id) VALUES (c.id) WHEN NOT MATCHED BY SOURCE THEN DELETE
=>
0A000 MERGE with both WHEN NOT MATCHED BY SOURCE and BY TARGET needs an equality of plain columns in ON
