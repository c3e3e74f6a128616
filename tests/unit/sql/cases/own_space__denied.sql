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
