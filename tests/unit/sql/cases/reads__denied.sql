-- unknown relation
SELECT * FROM sales.nope
=>
42P01 relation "sales.nope" does not exist

-- unclassified relation
SELECT * FROM public.exports
=>
42P01 relation "public.exports" does not exist

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
0A000 system column ctid cannot be used so

-- unqualified system column
SELECT id FROM orders WHERE xmin = '7'
=>
0A000 system column xmin cannot be used so

-- ctid from a level further in
SELECT (SELECT o.ctid) FROM orders o FOR UPDATE
=>
0A000 system column ctid cannot be used so

-- ctid compared with a value
SELECT count(*) FROM orders WHERE ctid > '(0,1)'
=>
0A000 system column ctid cannot be used so

-- ctid compared with the place before all rows, in a way that is true of no row
SELECT count(*) FROM orders WHERE ctid < '(0,0)'
=>
0A000 system column ctid cannot be used so

-- ctid compared with a value of that name
SELECT id FROM orders o, (VALUES ('(0,7)'::tid)) v (ctid) WHERE o.ctid < v.ctid
=>
0A000 system column ctid cannot be used so

-- ctid among values
SELECT id FROM orders o WHERE o.ctid IN (SELECT ctid FROM (VALUES ('(0,7)'::tid)) v (ctid))
=>
0A000 system column ctid cannot be used so

-- ctid compared with that of another table
SELECT o.id FROM orders o, customers c WHERE o.ctid < c.ctid
=>
0A000 system column ctid cannot be used so

-- ctid beside all columns of a join that has a name
SELECT j.* FROM (orders o JOIN customers c ON o.tableoid <> c.tableoid) AS j
=>
0A000 a system column of o cannot be used beside all of its columns

-- xmax
SELECT id FROM orders WHERE xmax <> '7'
=>
0A000 system column xmax cannot be used so

-- tablesample of more than everything
SELECT * FROM orders TABLESAMPLE SYSTEM (101)
=>
2202H sample percentage must be between 0 and 100

-- tablesample of an expression
SELECT * FROM orders TABLESAMPLE SYSTEM (7 + 7)
=>
0A000 an expression in TABLESAMPLE is not supported

-- tablesample by another method
SELECT * FROM orders TABLESAMPLE system_rows (7)
=>
42501 tablesample method system_rows is not allowed

-- into
SELECT id INTO x FROM orders
=>
0A000 SELECT INTO is not supported through this gateway


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
SELECT id FROM orders; SELECT id FROM public.exports
=>
42P01 relation "public.exports" does not exist

-- type of another schema
SELECT 'x'::globex.mood
=>
42501 permission denied for schema globex

-- collation of another schema
SELECT 'x' COLLATE globex.x
=>
42501 permission denied for schema globex

-- ctid of a level further out, beside a sub-select that may have one
SELECT (SELECT max(1) FROM (SELECT 7 AS x) s WHERE ctid = o.ctid) FROM orders o
=>
0A000 system column ctid cannot be used so
