-- cursor
DECLARE c SCROLL CURSOR WITH HOLD FOR SELECT * FROM customers
=>
DECLARE c SCROLL CURSOR WITH HOLD FOR SELECT * FROM (SELECT "tenant_id", "id", "name", "region", "card" FROM "public"."customers" WHERE "tenant_id" OPERATOR(pg_catalog.=) 'acme') AS "customers"

-- prepare
PREPARE p (int) AS SELECT id FROM orders WHERE id = $1
=>
PREPARE p (int) AS SELECT id FROM (SELECT "tenant_id", "id", "customer_id", "total", "status", "note" FROM "public"."orders" WHERE "tenant_id" OPERATOR(pg_catalog.=) 'acme') AS "orders" WHERE id = $1

-- execute
EXECUTE p ('x', 7, NULL, $1, ARRAY[1, 2], '1'::int, -7)
=>
EXECUTE p ('x', 7, NULL, $1, ARRAY[1, 2], '1'::int, -7)

-- explain
EXPLAIN SELECT id FROM orders
=>
EXPLAIN (COSTS OFF) SELECT id FROM (SELECT "tenant_id", "id", "customer_id", "total", "status", "note" FROM "public"."orders" WHERE "tenant_id" OPERATOR(pg_catalog.=) 'acme') AS "orders"

-- explain with options
EXPLAIN (VERBOSE, FORMAT json) SELECT id FROM orders WHERE id = 7
=>
EXPLAIN (COSTS OFF, VERBOSE, FORMAT json) SELECT id FROM (SELECT "tenant_id", "id", "customer_id", "total", "status", "note" FROM "public"."orders" WHERE "tenant_id" OPERATOR(pg_catalog.=) 'acme') AS "orders" WHERE id = 7

-- explain old style
EXPLAIN VERBOSE SELECT id FROM orders
=>
EXPLAIN (COSTS OFF, VERBOSE) SELECT id FROM (SELECT "tenant_id", "id", "customer_id", "total", "status", "note" FROM "public"."orders" WHERE "tenant_id" OPERATOR(pg_catalog.=) 'acme') AS "orders"

-- explain of a bracketed query
EXPLAIN (SELECT id FROM orders)
=>
EXPLAIN (COSTS OFF) (SELECT id FROM (SELECT "tenant_id", "id", "customer_id", "total", "status", "note" FROM "public"."orders" WHERE "tenant_id" OPERATOR(pg_catalog.=) 'acme') AS "orders")

-- explain with costs asked for
EXPLAIN (COSTS, ANALYZE off) SELECT 7
=>
EXPLAIN (COSTS OFF) SELECT 7

-- explain in an own database [database]
EXPLAIN (ANALYZE, BUFFERS) SELECT * FROM orders
=>
EXPLAIN (ANALYZE, BUFFERS) SELECT * FROM orders
