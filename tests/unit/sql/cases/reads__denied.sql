-- unknown relation
SELECT * FROM nope
=>
42P01 relation "nope" does not exist

-- unclassified relation
SELECT * FROM exports
=>
42P01 relation "exports" does not exist

-- another schema
SELECT * FROM globex.orders
=>
42P01 relation "globex.orders" does not exist

-- denied relation
SELECT * FROM secrets
=>
42501 permission denied for table secrets

-- relation without access [analyst]
SELECT 7 FROM events
=>
42501 permission denied for table events

-- another database
SELECT * FROM other.public.orders
=>
0A000 cross-database references are not implemented: "other.public.orders"

-- system columns
SELECT o.ctid FROM orders o
=>
0A000 system column ctid cannot be used

-- unqualified system column
SELECT id FROM orders WHERE xmin = '7'
=>
0A000 system column xmin cannot be used

-- tablesample
SELECT * FROM orders TABLESAMPLE SYSTEM (7)
=>
0A000 TABLESAMPLE is not supported on this table

-- into
SELECT id INTO x FROM orders
=>
0A000 SELECT INTO is not supported through this gateway

-- grouping by the key of a nullable side
SELECT o.tenant_id, o.id, o.status FROM customers c LEFT JOIN orders o ON true GROUP BY 1, 2
=>
0A000 columns of o are used that GROUP BY does not list

-- grouping by the key of a masked table [analyst]
SELECT tenant_id, id, card FROM customers GROUP BY tenant_id, id
=>
0A000 columns of customers are used that GROUP BY does not list

-- grouping by the key with conditions that may fail
SELECT o.tenant_id, o.id, o.status FROM orders o JOIN customers c ON lower(c.name) = o.note GROUP BY o.tenant_id, o.id
=>
0A000 columns of o are used that GROUP BY does not list

-- lock of a global table
SELECT * FROM orders, countries FOR UPDATE
=>
42501 rows of countries cannot be locked

-- lock without write access [analyst]
SELECT * FROM customers FOR UPDATE
=>
42501 permission denied for table customers

-- system function
SELECT pg_read_file('x')
=>
42883 function pg_read_file does not exist

-- user's function
SELECT newest_secret()
=>
42501 function newest_secret is not allowed

-- column notation of a function
SELECT o.newest_secret FROM orders o
=>
42501 o.newest_secret may call the function newest_secret, which is not allowed

-- syntax error
SELECT FROM WHERE
=>
42601 syntax error at or near "WHERE"

-- unfinished string
SELECT 'x
=>
42601 unterminated quoted string at or near "'x"

-- one of several
SELECT id FROM orders; SELECT id FROM exports
=>
42P01 relation "exports" does not exist

-- type of another schema
SELECT 'x'::globex.mood
=>
42501 permission denied for schema globex

-- collation of another schema
SELECT 'x' COLLATE globex.x
=>
42501 permission denied for schema globex
