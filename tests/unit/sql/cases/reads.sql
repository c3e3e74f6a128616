-- bare
SELECT * FROM orders
=>
SELECT * FROM (SELECT "tenant_id", "id", "customer_id", "total", "status", "note" FROM "public"."orders" WHERE "tenant_id" OPERATOR(pg_catalog.=) 'acme') AS "orders"

-- alias and condition
SELECT o.id, o.total FROM orders o WHERE o.id = 7 AND o.status = 'paid'
=>
SELECT o.id, o.total FROM (SELECT "tenant_id", "id", "customer_id", "total", "status", "note" FROM "public"."orders" WHERE "tenant_id" OPERATOR(pg_catalog.=) 'acme') o WHERE o.id = 7 AND o.status = 'paid'

-- qualified name and column references
SELECT public.orders.id, orders.total FROM public.orders WHERE public.orders.id = 7
=>
SELECT orders.id, orders.total FROM (SELECT "tenant_id", "id", "customer_id", "total", "status", "note" FROM "public"."orders" WHERE "tenant_id" OPERATOR(pg_catalog.=) 'acme') AS "orders" WHERE orders.id = 7

-- database, schema and table
SELECT app.public.orders.* FROM app.public.orders
=>
SELECT orders.* FROM (SELECT "tenant_id", "id", "customer_id", "total", "status", "note" FROM "public"."orders" WHERE "tenant_id" OPERATOR(pg_catalog.=) 'acme') AS "orders"

-- alias column list
SELECT a, b FROM orders AS o (a, b) WHERE b = 7
=>
SELECT a, b FROM (SELECT "tenant_id", "id", "customer_id", "total", "status", "note" FROM "public"."orders" WHERE "tenant_id" OPERATOR(pg_catalog.=) 'acme') AS o (a, b) WHERE b = 7

-- only and star
SELECT 1 FROM ONLY orders, customers *, ONLY (events) e
=>
SELECT 1 FROM (SELECT "tenant_id", "id", "customer_id", "total", "status", "note" FROM ONLY "public"."orders" WHERE "tenant_id" OPERATOR(pg_catalog.=) 'acme') AS "orders", (SELECT "tenant_id", "id", "name", "region", "card" FROM "public"."customers" WHERE "tenant_id" OPERATOR(pg_catalog.=) 'acme') AS "customers", (SELECT "account", "at", "kind" FROM ONLY "public"."events" WHERE "account" OPERATOR(pg_catalog.=) 'acme'::uuid) e

-- keywords and comments in between
SELECT 1 FROM /* c */ only ( public /* x */ . "orders" ) AS "O" WHERE "O".id = 7
=>
SELECT 1 FROM /* c */ (SELECT "tenant_id", "id", "customer_id", "total", "status", "note" FROM ONLY "public"."orders" WHERE "tenant_id" OPERATOR(pg_catalog.=) 'acme') AS "O" WHERE "O".id = 7

-- table command
TABLE orders
=>
SELECT * FROM (SELECT "tenant_id", "id", "customer_id", "total", "status", "note" FROM "public"."orders" WHERE "tenant_id" OPERATOR(pg_catalog.=) 'acme') AS "orders"

-- joins keep their ON
SELECT o.id, c.name FROM customers c LEFT JOIN orders o ON o.customer_id = c.id AND o.tenant_id = c.tenant_id WHERE c.id = 7
=>
SELECT o.id, c.name FROM (SELECT "tenant_id", "id", "name", "region", "card" FROM "public"."customers" WHERE "tenant_id" OPERATOR(pg_catalog.=) 'acme') c LEFT JOIN (SELECT "tenant_id", "id", "customer_id", "total", "status", "note" FROM "public"."orders" WHERE "tenant_id" OPERATOR(pg_catalog.=) 'acme') o ON o.customer_id = c.id AND o.tenant_id = c.tenant_id WHERE c.id = 7

-- using
SELECT * FROM orders JOIN customers USING (id)
=>
SELECT * FROM (SELECT "tenant_id", "id", "customer_id", "total", "status", "note" FROM "public"."orders" WHERE "tenant_id" OPERATOR(pg_catalog.=) 'acme') AS "orders" JOIN (SELECT "tenant_id", "id", "name", "region", "card" FROM "public"."customers" WHERE "tenant_id" OPERATOR(pg_catalog.=) 'acme') AS "customers" USING (id)

-- brackets
SELECT 1 FROM (orders o CROSS JOIN customers) JOIN countries ON true
=>
SELECT 1 FROM ((SELECT "tenant_id", "id", "customer_id", "total", "status", "note" FROM "public"."orders" WHERE "tenant_id" OPERATOR(pg_catalog.=) 'acme') o CROSS JOIN (SELECT "tenant_id", "id", "name", "region", "card" FROM "public"."customers" WHERE "tenant_id" OPERATOR(pg_catalog.=) 'acme') AS "customers") JOIN "public"."countries" ON true

-- set operations
SELECT id FROM orders UNION ALL (SELECT id FROM customers ORDER BY id LIMIT 7) EXCEPT SELECT 7
=>
SELECT id FROM (SELECT "tenant_id", "id", "customer_id", "total", "status", "note" FROM "public"."orders" WHERE "tenant_id" OPERATOR(pg_catalog.=) 'acme') AS "orders" UNION ALL (SELECT id FROM (SELECT "tenant_id", "id", "name", "region", "card" FROM "public"."customers" WHERE "tenant_id" OPERATOR(pg_catalog.=) 'acme') AS "customers" ORDER BY id LIMIT 7) EXCEPT SELECT 7

-- sub-selects everywhere
SELECT (SELECT count(*) FROM customers) FROM orders WHERE id IN (SELECT id FROM customers) AND EXISTS (SELECT FROM events)
=>
SELECT (SELECT count(*) FROM (SELECT "tenant_id", "id", "name", "region", "card" FROM "public"."customers" WHERE "tenant_id" OPERATOR(pg_catalog.=) 'acme') AS "customers") FROM (SELECT "tenant_id", "id", "customer_id", "total", "status", "note" FROM "public"."orders" WHERE "tenant_id" OPERATOR(pg_catalog.=) 'acme') AS "orders" WHERE id IN (SELECT id FROM (SELECT "tenant_id", "id", "name", "region", "card" FROM "public"."customers" WHERE "tenant_id" OPERATOR(pg_catalog.=) 'acme') AS "customers") AND EXISTS (SELECT FROM (SELECT "account", "at", "kind" FROM "public"."events" WHERE "account" OPERATOR(pg_catalog.=) 'acme'::uuid) AS "events")

-- lateral
SELECT c.id, x.total FROM customers c, LATERAL (SELECT total FROM orders WHERE customer_id = c.id) x
=>
SELECT c.id, x.total FROM (SELECT "tenant_id", "id", "name", "region", "card" FROM "public"."customers" WHERE "tenant_id" OPERATOR(pg_catalog.=) 'acme') c, LATERAL (SELECT total FROM (SELECT "tenant_id", "id", "customer_id", "total", "status", "note" FROM "public"."orders" WHERE "tenant_id" OPERATOR(pg_catalog.=) 'acme') AS "orders" WHERE customer_id = c.id) x

-- global table
SELECT name FROM countries WHERE code = 'CH'
=>
SELECT name FROM "public"."countries" WHERE code = 'CH'

-- cte body sees the table, its use does not
WITH orders AS (SELECT * FROM orders) SELECT * FROM orders
=>
WITH orders AS (SELECT * FROM (SELECT "tenant_id", "id", "customer_id", "total", "status", "note" FROM "public"."orders" WHERE "tenant_id" OPERATOR(pg_catalog.=) 'acme') AS "orders") SELECT * FROM orders

-- earlier sibling sees the table
WITH a AS (SELECT * FROM orders), orders AS (SELECT 7 AS id) SELECT * FROM orders, a
=>
WITH a AS (SELECT * FROM (SELECT "tenant_id", "id", "customer_id", "total", "status", "note" FROM "public"."orders" WHERE "tenant_id" OPERATOR(pg_catalog.=) 'acme') AS "orders"), orders AS (SELECT 7 AS id) SELECT * FROM orders, a

-- qualified name is never a CTE
WITH orders AS (SELECT 1 AS id) SELECT * FROM public.orders
=>
WITH orders AS (SELECT 1 AS id) SELECT * FROM (SELECT "tenant_id", "id", "customer_id", "total", "status", "note" FROM "public"."orders" WHERE "tenant_id" OPERATOR(pg_catalog.=) 'acme') AS "orders"

-- recursive CTE sees itself
WITH RECURSIVE orders AS (SELECT 7 AS id UNION ALL SELECT id + 1 FROM orders) SELECT * FROM orders
=>
WITH RECURSIVE orders AS (SELECT 7 AS id UNION ALL SELECT id + 1 FROM orders) SELECT * FROM orders

-- barrier for what may fail
SELECT id FROM orders WHERE 10 / total > 7
=>
SELECT id FROM "public"."orders" WHERE "orders"."tenant_id" OPERATOR(pg_catalog.=) 'acme' AND (CASE WHEN "orders"."tenant_id" OPERATOR(pg_catalog.=) 'acme' THEN (10 / total > 7) ELSE false END)

-- barrier for a cast
SELECT id FROM orders WHERE note::integer = 7
=>
SELECT id FROM "public"."orders" WHERE "orders"."tenant_id" OPERATOR(pg_catalog.=) 'acme' AND (CASE WHEN "orders"."tenant_id" OPERATOR(pg_catalog.=) 'acme' THEN (note::integer = 7) ELSE false END)

-- barrier for what may fail, beside a condition that finds an index
SELECT * FROM orders WHERE id = 7 AND 1 / id < 5 ORDER BY id
=>
SELECT * FROM "public"."orders" WHERE "orders"."tenant_id" OPERATOR(pg_catalog.=) 'acme' AND ( id = 7 AND CASE WHEN "orders"."tenant_id" OPERATOR(pg_catalog.=) 'acme' THEN (1 / id < 5) ELSE false END) ORDER BY id

-- barrier for what may fail, with a sub-select that should stay a semi-join
SELECT id FROM orders WHERE id IN (SELECT id FROM orders WHERE 1 / id < 5)
=>
SELECT id FROM (SELECT "tenant_id", "id", "customer_id", "total", "status", "note" FROM "public"."orders" WHERE "tenant_id" OPERATOR(pg_catalog.=) 'acme' OFFSET 0) AS "orders" WHERE id IN (SELECT id FROM (SELECT "tenant_id", "id", "customer_id", "total", "status", "note" FROM "public"."orders" WHERE "tenant_id" OPERATOR(pg_catalog.=) 'acme' OFFSET 0) AS "orders" WHERE 1 / id < 5)

-- no barrier for the outermost select list
SELECT 10 / total FROM orders WHERE id = 7
=>
SELECT 10 / total FROM (SELECT "tenant_id", "id", "customer_id", "total", "status", "note" FROM "public"."orders" WHERE "tenant_id" OPERATOR(pg_catalog.=) 'acme') AS "orders" WHERE id = 7

-- whole row
SELECT o FROM orders o
=>
SELECT o FROM "public"."orders" o WHERE "o"."tenant_id" OPERATOR(pg_catalog.=) 'acme'

-- type of the tenant column
SELECT kind FROM events
=>
SELECT kind FROM (SELECT "account", "at", "kind" FROM "public"."events" WHERE "account" OPERATOR(pg_catalog.=) 'acme'::uuid) AS "events"

-- row lock goes to WHERE
SELECT id FROM orders WHERE status = 'new' ORDER BY id LIMIT 7 FOR UPDATE SKIP LOCKED
=>
SELECT id FROM "public"."orders" WHERE "orders"."tenant_id" OPERATOR(pg_catalog.=) 'acme' AND (status = 'new') ORDER BY id LIMIT 7 FOR UPDATE SKIP LOCKED

-- row lock without WHERE
SELECT o.id FROM orders o LEFT JOIN customers c ON c.id = o.customer_id FOR NO KEY UPDATE OF o
=>
SELECT o.id FROM "public"."orders" o LEFT JOIN (SELECT "tenant_id", "id", "name", "region", "card" FROM "public"."customers" WHERE "tenant_id" OPERATOR(pg_catalog.=) 'acme') c ON c.id = o.customer_id WHERE "o"."tenant_id" OPERATOR(pg_catalog.=) 'acme' FOR NO KEY UPDATE OF o

-- row lock with a condition that may fail
SELECT id FROM orders WHERE 10 / total > 7 FOR UPDATE
=>
SELECT id FROM "public"."orders" WHERE "orders"."tenant_id" OPERATOR(pg_catalog.=) 'acme' AND (CASE WHEN "orders"."tenant_id" OPERATOR(pg_catalog.=) 'acme' THEN (10 / total > 7) ELSE false END) FOR UPDATE

-- row lock and distinct from
SELECT id FROM orders JOIN customers c USING (id) WHERE c.region IS DISTINCT FROM 'EU' FOR SHARE OF orders
=>
SELECT id FROM "public"."orders" JOIN (SELECT "tenant_id", "id", "name", "region", "card" FROM "public"."customers" WHERE "tenant_id" OPERATOR(pg_catalog.=) 'acme') c USING (id) WHERE "orders"."tenant_id" OPERATOR(pg_catalog.=) 'acme' AND (c.region IS DISTINCT FROM 'EU') FOR SHARE OF orders

-- grouping by the primary key
SELECT o.tenant_id, o.id, o.status, count(*) FROM orders o JOIN customers c ON c.id = o.customer_id GROUP BY o.tenant_id, o.id
=>
SELECT o.tenant_id, o.id, o.status, count(*) FROM "public"."orders" o JOIN (SELECT "tenant_id", "id", "name", "region", "card" FROM "public"."customers" WHERE "tenant_id" OPERATOR(pg_catalog.=) 'acme') c ON c.id = o.customer_id WHERE "o"."tenant_id" OPERATOR(pg_catalog.=) 'acme' GROUP BY o.tenant_id, o.id

-- grouping by what the primary key has beside the tenant column
SELECT o.id, o.status, count(*) FROM orders o JOIN customers c ON c.id = o.customer_id GROUP BY o.id ORDER BY o.total
=>
SELECT o.id, o.status, count(*) FROM "public"."orders" o JOIN (SELECT "tenant_id", "id", "name", "region", "card" FROM "public"."customers" WHERE "tenant_id" OPERATOR(pg_catalog.=) 'acme') c ON c.id = o.customer_id WHERE "o"."tenant_id" OPERATOR(pg_catalog.=) 'acme' GROUP BY o.id, "o"."tenant_id" ORDER BY o.total

-- the same where the table cannot stay one
SELECT o.id, o.status FROM customers c LEFT JOIN orders o ON true GROUP BY o.id
=>
SELECT o.id, o.status FROM (SELECT "tenant_id", "id", "name", "region", "card" FROM "public"."customers" WHERE "tenant_id" OPERATOR(pg_catalog.=) 'acme') c LEFT JOIN (SELECT "tenant_id", "id", "customer_id", "total", "status", "note" FROM "public"."orders" WHERE "tenant_id" OPERATOR(pg_catalog.=) 'acme') o ON true GROUP BY o.id, "o"."status"

-- grouping by position
SELECT tenant_id, id, status FROM orders GROUP BY 1, 2 HAVING count(*) = 7
=>
SELECT tenant_id, id, status FROM "public"."orders" WHERE "orders"."tenant_id" OPERATOR(pg_catalog.=) 'acme' GROUP BY 1, 2 HAVING count(*) = 7

-- grouping without dependency
SELECT status, count(*) FROM orders GROUP BY status
=>
SELECT status, count(*) FROM (SELECT "tenant_id", "id", "customer_id", "total", "status", "note" FROM "public"."orders" WHERE "tenant_id" OPERATOR(pg_catalog.=) 'acme') AS "orders" GROUP BY status

-- several statements
SELECT id FROM orders; SELECT 'x';
=>
SELECT id FROM (SELECT "tenant_id", "id", "customer_id", "total", "status", "note" FROM "public"."orders" WHERE "tenant_id" OPERATOR(pg_catalog.=) 'acme') AS "orders"; SELECT 'x'

-- literals and comments stay
SELECT 'it''s', $$a$$, E'\n' -- end
=>
SELECT 'it''s', $$a$$, E'\n'

-- masks and row filter [analyst]
SELECT name, card FROM customers WHERE region = 'EU'
=>
SELECT name, card FROM (SELECT "tenant_id", "id", (NULL)::text AS "name", "region", ('****' || right("card", 4)) AS "card" FROM "public"."customers" WHERE "tenant_id" OPERATOR(pg_catalog.=) 'acme' AND ("region" = 'EU')) AS "customers" WHERE region = 'EU'

-- mask below the condition [analyst]
SELECT id FROM customers c WHERE c.card = 'x'
=>
SELECT id FROM (SELECT "tenant_id", "id", (NULL)::text AS "name", "region", ('****' || right("card", 4)) AS "card" FROM "public"."customers" WHERE "tenant_id" OPERATOR(pg_catalog.=) 'acme' AND ("region" = 'EU') OFFSET 0) c WHERE c.card = 'x'

-- masks forbid the condition form [analyst]
SELECT tenant_id, id, region FROM customers GROUP BY tenant_id, id, region
=>
SELECT tenant_id, id, region FROM (SELECT "tenant_id", "id", (NULL)::text AS "name", "region", ('****' || right("card", 4)) AS "card" FROM "public"."customers" WHERE "tenant_id" OPERATOR(pg_catalog.=) 'acme' AND ("region" = 'EU')) AS "customers" GROUP BY tenant_id, id, region

-- grouping by the key of a nullable side
SELECT o.tenant_id, o.id, o.status, max(o.note) FROM customers c LEFT JOIN orders o ON true GROUP BY 1, 2 HAVING o.total > 7
=>
SELECT o.tenant_id, o.id, o.status, max(o.note) FROM (SELECT "tenant_id", "id", "name", "region", "card" FROM "public"."customers" WHERE "tenant_id" OPERATOR(pg_catalog.=) 'acme') c LEFT JOIN (SELECT "tenant_id", "id", "customer_id", "total", "status", "note" FROM "public"."orders" WHERE "tenant_id" OPERATOR(pg_catalog.=) 'acme') o ON true GROUP BY 1, 2, "o"."total", "o"."status" HAVING o.total > 7

-- grouping by the key of a masked table [analyst]
SELECT tenant_id, id, card FROM customers GROUP BY tenant_id, id ORDER BY region
=>
SELECT tenant_id, id, card FROM (SELECT "tenant_id", "id", (NULL)::text AS "name", "region", ('****' || right("card", 4)) AS "card" FROM "public"."customers" WHERE "tenant_id" OPERATOR(pg_catalog.=) 'acme' AND ("region" = 'EU')) AS "customers" GROUP BY tenant_id, id, "customers"."region", "customers"."card" ORDER BY region

-- a sample
SELECT count(*) FROM orders o TABLESAMPLE BERNOULLI (7) WHERE id = 7
=>
SELECT count(*) FROM (SELECT "tenant_id", "id", "customer_id", "total", "status", "note" FROM "public"."orders" WHERE "tenant_id" OPERATOR(pg_catalog.=) 'acme' AND (pg_catalog.random() OPERATOR(pg_catalog.*) '100'::pg_catalog.float8 OPERATOR(pg_catalog.<) (7)::pg_catalog.float8) OFFSET 0) o WHERE id = 7

-- a sample that repeats
SELECT id FROM orders TABLESAMPLE SYSTEM ($1) REPEATABLE (7)
=>
SELECT id FROM (SELECT "tenant_id", "id", "customer_id", "total", "status", "note" FROM "public"."orders" WHERE "tenant_id" OPERATOR(pg_catalog.=) 'acme' AND ((pg_catalog.hashtextextended(ROW("tenant_id", "id")::pg_catalog.text COLLATE pg_catalog."C", pg_catalog.hashfloat8extended((7)::pg_catalog.float8, '0')) OPERATOR(pg_catalog.&) '9007199254740991'::pg_catalog.int8)::pg_catalog.float8 OPERATOR(pg_catalog./) '90071992547409.92'::pg_catalog.float8 OPERATOR(pg_catalog.<) ($1)::pg_catalog.float8) OFFSET 0) AS "orders"

-- the table of a row
SELECT o.tableoid, o.id FROM orders o
=>
SELECT o.tableoid, o.id FROM (SELECT "tenant_id", "id", "customer_id", "total", "status", "note", "tableoid" FROM "public"."orders" WHERE "tenant_id" OPERATOR(pg_catalog.=) 'acme') o

-- the table of a row beside all columns
SELECT tableoid, * FROM orders
=>
SELECT tableoid, * FROM "public"."orders" WHERE "orders"."tenant_id" OPERATOR(pg_catalog.=) 'acme'

-- ctid in batches
DELETE FROM orders WHERE ctid IN (SELECT ctid FROM orders WHERE status = 'new' LIMIT 7)
=>
DELETE FROM "public"."orders" WHERE "orders"."tenant_id" OPERATOR(pg_catalog.=) 'acme' AND CASE WHEN "orders"."tenant_id" OPERATOR(pg_catalog.=) 'acme' THEN (ctid IN (SELECT ctid FROM (SELECT "tenant_id", "id", "customer_id", "total", "status", "note", "ctid" FROM "public"."orders" WHERE "tenant_id" OPERATOR(pg_catalog.=) 'acme' AND ("status" = 'new') OFFSET 0) AS "orders" WHERE status = 'new' LIMIT 7)) ELSE false END

-- grouping by the key with conditions that may fail
SELECT o.tenant_id, o.id, o.status FROM orders o JOIN customers c ON lower(c.name) = o.note GROUP BY o.tenant_id, o.id
=>
SELECT o.tenant_id, o.id, o.status FROM (SELECT "tenant_id", "id", "customer_id", "total", "status", "note" FROM "public"."orders" WHERE "tenant_id" OPERATOR(pg_catalog.=) 'acme' OFFSET 0) o JOIN (SELECT "tenant_id", "id", "name", "region", "card" FROM "public"."customers" WHERE "tenant_id" OPERATOR(pg_catalog.=) 'acme' OFFSET 0) c ON lower(c.name) = o.note GROUP BY o.tenant_id, o.id, "o"."status"

-- a whole row of renamed columns
SELECT o FROM orders o (a, b) WHERE b = 7
=>
SELECT o FROM (SELECT "tenant_id", "id", "customer_id", "total", "status", "note" FROM "public"."orders" WHERE "tenant_id" OPERATOR(pg_catalog.=) 'acme') o (a, b) WHERE b = 7

-- shields in a join: each operand in its own relation's
SELECT o.id FROM orders o JOIN customers c ON c.id = o.customer_id WHERE lower(o.note) = 'x' AND c.region = 'EU' AND 1 / c.id > 0
=>
SELECT o.id FROM "public"."orders" o JOIN "public"."customers" c ON c.id = o.customer_id WHERE "o"."tenant_id" OPERATOR(pg_catalog.=) 'acme' AND "c"."tenant_id" OPERATOR(pg_catalog.=) 'acme' AND (CASE WHEN "o"."tenant_id" OPERATOR(pg_catalog.=) 'acme' THEN (lower(o.note) = 'x') ELSE false END AND c.region = 'EU' AND CASE WHEN "c"."tenant_id" OPERATOR(pg_catalog.=) 'acme' THEN (1 / c.id > 0) ELSE false END)

-- shields beside an outer join: the nullable side has a plain guard
SELECT o.id FROM orders o LEFT JOIN customers c ON c.id = o.customer_id WHERE lower(o.note) = 'x'
=>
SELECT o.id FROM "public"."orders" o LEFT JOIN (SELECT "tenant_id", "id", "name", "region", "card" FROM "public"."customers" WHERE "tenant_id" OPERATOR(pg_catalog.=) 'acme') c ON c.id = o.customer_id WHERE "o"."tenant_id" OPERATOR(pg_catalog.=) 'acme' AND (CASE WHEN "o"."tenant_id" OPERATOR(pg_catalog.=) 'acme' THEN (lower(o.note) = 'x') ELSE false END)

-- what a barrier would keep from an index stands in the guard too
SELECT o.id FROM orders o JOIN customers c ON c.id = o.customer_id WHERE o.id = 7 AND lower(o.note) = c.name AND c.region IN ('EU', 'US') AND o.customer_id BETWEEN 1 AND 9 AND c.id = o.id AND o.status = $1 AND c.name = $2 AND c.card = $2
=>
SELECT o.id FROM (SELECT "tenant_id", "id", "customer_id", "total", "status", "note" FROM "public"."orders" WHERE "tenant_id" OPERATOR(pg_catalog.=) 'acme' AND ("id" = 7) AND ("customer_id" BETWEEN 1 AND 9) AND ("status" = $1) OFFSET 0) o JOIN (SELECT "tenant_id", "id", "name", "region", "card" FROM "public"."customers" WHERE "tenant_id" OPERATOR(pg_catalog.=) 'acme' AND ("region" IN ('EU', 'US')) OFFSET 0) c ON c.id = o.customer_id WHERE o.id = 7 AND lower(o.note) = c.name AND c.region IN ('EU', 'US') AND o.customer_id BETWEEN 1 AND 9 AND c.id = o.id AND o.status = $1 AND c.name = $2 AND c.card = $2

-- but not of the nullable side of an outer join, and nothing that is masked [analyst]
SELECT o.id FROM orders o LEFT JOIN countries t ON t.code = o.note, customers c WHERE t.code = 'x' AND lower(o.note) = 'x' AND c.card = '1' AND c.region = 'EU' AND (o.id = 1 OR o.id IS NULL)
=>
SELECT o.id FROM (SELECT "tenant_id", "id", "customer_id", "total", "status", "note" FROM "public"."orders" WHERE "tenant_id" OPERATOR(pg_catalog.=) 'acme' AND (("id" = 1 OR "id" IS NULL)) OFFSET 0) o LEFT JOIN "public"."countries" t ON t.code = o.note, (SELECT "tenant_id", "id", (NULL)::text AS "name", "region", ('****' || right("card", 4)) AS "card" FROM "public"."customers" WHERE "tenant_id" OPERATOR(pg_catalog.=) 'acme' AND ("region" = 'EU') AND ("region" = 'EU') OFFSET 0) c WHERE t.code = 'x' AND lower(o.note) = 'x' AND c.card = '1' AND c.region = 'EU' AND (o.id = 1 OR o.id IS NULL)

-- a whole row in an INSERT's SELECT before ON CONFLICT
INSERT INTO orders (id, total) SELECT t1.id, t1.total FROM orders t1 WHERE t1 IS NULL ON CONFLICT (tenant_id, id) DO NOTHING
=>
INSERT INTO "public"."orders" (id, total, "tenant_id") SELECT t1.id, t1.total, 'acme' FROM "public"."orders" t1 WHERE "t1"."tenant_id" OPERATOR(pg_catalog.=) 'acme' AND (t1 IS NULL) ON CONFLICT (tenant_id, id) DO NOTHING

-- a whole row in an INSERT's SELECT without WHERE before ON CONFLICT
INSERT INTO orders (id, total) SELECT t1.id, t1.total FROM orders t1 JOIN customers c ON t1 IS NULL ON CONFLICT (tenant_id, id) DO NOTHING
=>
INSERT INTO "public"."orders" (id, total, "tenant_id") SELECT t1.id, t1.total, 'acme' FROM "public"."orders" t1 JOIN (SELECT "tenant_id", "id", "name", "region", "card" FROM "public"."customers" WHERE "tenant_id" OPERATOR(pg_catalog.=) 'acme') c ON t1 IS NULL WHERE "t1"."tenant_id" OPERATOR(pg_catalog.=) 'acme' ON CONFLICT (tenant_id, id) DO NOTHING

-- grouping by the key beside ROWS FROM
SELECT o.tenant_id, o.id, o.total FROM (ROWS FROM (generate_series(1, 3)) AS g (n) JOIN orders o ON g.n = o.id) GROUP BY o.tenant_id, o.id
=>
SELECT o.tenant_id, o.id, o.total FROM (ROWS FROM (generate_series(1, 3)) AS g (n) JOIN (SELECT "tenant_id", "id", "customer_id", "total", "status", "note" FROM "public"."orders" WHERE "tenant_id" OPERATOR(pg_catalog.=) 'acme' OFFSET 0) o ON g.n = o.id) GROUP BY o.tenant_id, o.id, "o"."total"
