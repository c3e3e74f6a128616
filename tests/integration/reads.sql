SELECT * FROM orders
SELECT id, total FROM orders WHERE id = 7
SELECT o.id, c.name FROM orders o JOIN customers c ON c.id = o.customer_id WHERE o.total > 20
SELECT o.id, c.name FROM orders o LEFT JOIN customers c ON c.id = o.customer_id AND c.region = 'CH'
SELECT o.id, c.name FROM orders o RIGHT JOIN customers c ON c.id = o.customer_id
SELECT o.id, c.id FROM orders o FULL JOIN customers c ON c.id = o.customer_id
SELECT c.id FROM customers c LEFT JOIN orders o ON o.customer_id = c.id WHERE o.id IS NULL
SELECT * FROM orders NATURAL JOIN items
SELECT * FROM orders JOIN items USING (tenant_id)
SELECT tenant_id, o.id FROM orders o JOIN customers c USING (tenant_id, id)
SELECT count(*), sum(total), min(note), max(placed) FROM orders
SELECT status, count(*) FROM orders GROUP BY status ORDER BY status
SELECT status, count(*) FILTER (WHERE total > 50) FROM orders GROUP BY 1 HAVING count(*) > 2
SELECT o.tenant_id, o.id, o.total, count(i.line) FROM orders o LEFT JOIN items i ON i.order_id = o.id GROUP BY o.tenant_id, o.id
SELECT tenant_id, id, name, region FROM customers GROUP BY 1, 2
SELECT id, state, body FROM jobs GROUP BY id
SELECT j.id, max(j.body), count(*) FROM customers c LEFT JOIN jobs j ON j.id = c.id WHERE j.state IS NULL OR true GROUP BY j.id
SELECT j.id, j.body, count(*) FROM customers c LEFT JOIN jobs j ON j.id = c.id GROUP BY j.id, j.body
SELECT region, count(*) FROM customers GROUP BY ROLLUP (region)
SELECT DISTINCT region FROM customers
SELECT DISTINCT ON (region) region, id FROM customers ORDER BY region, id
SELECT id, rank() OVER (ORDER BY total DESC), sum(total) OVER w FROM orders WINDOW w AS (PARTITION BY status ORDER BY id)
SELECT id FROM orders UNION SELECT id FROM customers
SELECT id FROM customers EXCEPT SELECT customer_id FROM orders
(SELECT id FROM orders ORDER BY id DESC LIMIT 3) INTERSECT ALL SELECT order_id FROM items
SELECT id FROM orders ORDER BY id OFFSET 5 LIMIT 5
SELECT id, total FROM orders ORDER BY 2 DESC, 1 FETCH FIRST 3 ROWS WITH TIES
SELECT id FROM orders WHERE customer_id IN (SELECT id FROM customers WHERE region = 'CH')
SELECT id FROM orders WHERE customer_id NOT IN (SELECT id FROM customers WHERE region IS NULL)
SELECT id FROM orders o WHERE EXISTS (SELECT FROM items WHERE order_id = o.id AND qty = 3)
SELECT id, (SELECT count(*) FROM items i WHERE i.order_id = o.id) FROM orders o
SELECT id FROM orders WHERE total > ALL (SELECT price FROM items)
SELECT id FROM orders WHERE total = (SELECT max(total) FROM orders)
SELECT ARRAY(SELECT id FROM customers ORDER BY id)
SELECT c.id, x.total FROM customers c, LATERAL (SELECT total FROM orders WHERE customer_id = c.id ORDER BY total LIMIT 1) x
SELECT c.id, x.n FROM customers c LEFT JOIN LATERAL (SELECT count(*) AS n FROM orders o WHERE o.customer_id = c.id) x ON true
SELECT id, t FROM customers, unnest(tags) AS t WHERE t = 'x'
WITH big AS (SELECT * FROM orders WHERE total > 100) SELECT count(*) FROM big
WITH orders AS (SELECT id FROM orders WHERE id < 5) SELECT * FROM orders
WITH a AS (SELECT * FROM orders), orders AS (SELECT 1 AS id) SELECT count(*) FROM a, orders
WITH orders AS (SELECT 1 AS id) SELECT count(*) FROM public.orders
WITH RECURSIVE r AS (SELECT id FROM customers WHERE id = 1 UNION ALL SELECT c.id FROM customers c JOIN r ON c.id = r.id + 1) SELECT * FROM r
WITH RECURSIVE orders AS (SELECT 1 AS id UNION ALL SELECT id + 1 FROM orders WHERE id < 4) SELECT * FROM orders
WITH m AS MATERIALIZED (SELECT * FROM customers) SELECT a.id FROM m a JOIN m b ON b.id = a.id + 1
SELECT public.orders.id, orders.total FROM public.orders WHERE public.orders.total > 200
SELECT orders.* FROM public.orders, customers WHERE customers.id = orders.id
SELECT a, b FROM orders AS o (x, a, y, b) WHERE y = 3
SELECT o FROM orders o WHERE id = 3
SELECT (o).total, (o).note FROM orders o WHERE (o).id < 4
SELECT row_to_json(c) FROM customers c WHERE id = 2
SELECT jsonb_agg(o ORDER BY o.id) FROM orders o WHERE id < 4
SELECT count(o), count(o.note) FROM orders o
SELECT info ->> 'n', info #>> '{deep,k}' FROM customers WHERE info @> '{"deep": {"k": 2}}'
SELECT id FROM customers WHERE tags && ARRAY['t1', 't2'] AND name LIKE 'c%'
SELECT id, note::int FROM orders WHERE note::int > 10
SELECT id FROM orders WHERE 100 / total > 1
SELECT id FROM orders WHERE 1 / (total - 7.5) > 0
SELECT CASE WHEN note IS NULL THEN 'none' ELSE note END, coalesce(note, 'x'), nullif(note, '1') FROM orders
SELECT upper(name), length(name), substring(name FROM 1 FOR 1), position('c' IN name) FROM customers
SELECT extract(year FROM placed), placed + interval '1 day' FROM orders WHERE placed BETWEEN '2024-01-05' AND '2024-01-09'
SELECT to_char(total, 'FM990.00'), round(total), total::text FROM orders WHERE id < 4
SELECT o.id FROM orders o WHERE (o.customer_id, o.status) IN ((1, 'new'), (2, 'paid'))
SELECT id FROM orders WHERE id = ANY ('{1,2,3}') AND status = 'paid'
SELECT x.n, c.name FROM (VALUES (1), (2)) x (n) JOIN customers c ON c.id = x.n
SELECT g, count(o.id) FROM generate_series(1, 5) g LEFT JOIN orders o ON o.customer_id = g GROUP BY g
SELECT * FROM ONLY documents
SELECT * FROM documents *
SELECT title FROM documents_archive
SELECT kind, count(*) FROM events WHERE at > '2024-01-01' GROUP BY kind
SELECT count(*) FROM meters
SELECT "select", "Odd Name"."Key" FROM "Odd Name"
SELECT c.name, n.name FROM customers c JOIN countries n ON n.code = c.region
SELECT * FROM countries
TABLE items
VALUES (1, (SELECT count(*) FROM orders)), (2, 3)
SELECT id FROM jobs WHERE state = 'new' ORDER BY id LIMIT 2 FOR UPDATE SKIP LOCKED
SELECT o.id, c.id FROM orders o JOIN customers c ON c.id = o.customer_id WHERE o.id < 9 FOR UPDATE OF o
SELECT o.id FROM orders o LEFT JOIN customers c ON c.id = o.customer_id WHERE 1 / o.id < 5 FOR SHARE OF o
SELECT * FROM (SELECT id, total FROM orders WHERE id < 9 FOR UPDATE) x WHERE total > 20
SELECT id FROM (orders o JOIN customers USING (id)) WHERE o.total > 20
SELECT sum(x.s) FROM (SELECT customer_id, sum(total) AS s FROM orders GROUP BY customer_id HAVING sum(total) > 50) x
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY total) FROM orders
SELECT string_agg(name, ',' ORDER BY id DESC) FROM customers
SELECT grouping(status), status, count(*) FROM orders GROUP BY GROUPING SETS ((status), ())
SELECT count(*) FROM orders a CROSS JOIN orders b
SELECT o1.id FROM orders o1 JOIN orders o2 ON o2.id = o1.id + 1 AND o2.total > o1.total
SELECT total IS DISTINCT FROM 15 FROM orders WHERE note IS NOT DISTINCT FROM '3'
SELECT name FROM customers WHERE name SIMILAR TO 'c(1|2)' OR name ~ '^c3$' OR name ILIKE 'C4'
SELECT 1 / (id - 5) FROM orders
SELECT note::int / 0 FROM orders WHERE id = 3
SELECT nope FROM orders
SELECT id FROM orders, customers
SELECT o.id FROM orders
SELECT id, count(*) FROM orders
SELECT max(id) FROM orders WHERE note > 5
DECLARE c CURSOR FOR SELECT id, total FROM orders ORDER BY id; FETCH 3 FROM c; MOVE 2 IN c; FETCH ALL FROM c; CLOSE c
PREPARE p (int) AS SELECT id, total FROM orders WHERE id = $1; EXECUTE p (3); EXECUTE p ('4'); DEALLOCATE p
BEGIN; SELECT count(*) FROM orders; SAVEPOINT a; SELECT 1 / 0
SELECT current_setting('TimeZone') = set_config('TimeZone', 'UTC', false)
SET datestyle = 'German'; SELECT placed FROM orders WHERE id = 1; RESET datestyle
SELECT * FROM sales ORDER BY id
SELECT buyer, sum(total) FROM sales WHERE twice > 50 GROUP BY buyer
SELECT * FROM turnover
SELECT state FROM turnover WHERE amount > 100
SELECT count(*) FROM false_tenant
SELECT secret FROM false_tenant WHERE tenant_id = 'acme'
SELECT id FROM numbers WHERE n > 3 AND q > 0
SELECT a.id FROM numbers a JOIN orders o ON o.id = a.id WHERE a.n::text LIKE '1%'
SELECT * FROM buyers b JOIN sales USING (id)
SELECT * FROM places
SELECT max(id) FROM chain
SELECT v FROM labelled v WHERE id = 3
SELECT public.labelled.id, labelled.* FROM public.labelled WHERE status = 'paid'
SELECT id FROM labelled WHERE tenant_id = 'globex'
TABLE turnover
WITH sales AS (SELECT 1 AS id) SELECT s.id, v.id FROM sales s JOIN public.sales v ON v.id = s.id
SELECT c.id, v.n FROM customers c, LATERAL (SELECT count(*) AS n FROM sales WHERE sales.id = c.id) v
SELECT id FROM sales UNION SELECT id FROM labelled
SELECT id FROM orders WHERE id IN (SELECT id FROM sales WHERE twice > 100) FOR UPDATE
SELECT count(*) FROM orders TABLESAMPLE SYSTEM (100)
SELECT count(*) FROM orders TABLESAMPLE BERNOULLI (0)
SELECT count(*) FROM customers c JOIN orders o TABLESAMPLE BERNOULLI (100) REPEATABLE (3) ON o.customer_id = c.id
SELECT count(*) FROM meters TABLESAMPLE SYSTEM (100) REPEATABLE (0.5)
SELECT id FROM orders TABLESAMPLE SYSTEM (100) WHERE note::int > 3
SELECT j.id, j.body, count(*) FROM customers c LEFT JOIN jobs j ON j.id = c.id GROUP BY j.id
SELECT j.*, count(c.id) FROM customers c RIGHT JOIN jobs j ON j.id = c.id WHERE j.body LIKE 'job%' GROUP BY j.id ORDER BY j.state, j.id
SELECT c.id, c.tenant_id, upper(c.name), c.info, sum(o.total) FROM orders o LEFT JOIN customers c ON c.id = o.customer_id WHERE o.note::int > 2 GROUP BY c.tenant_id, c.id
SELECT j.id, row_to_json(j), count(*) FROM customers c LEFT JOIN jobs j ON j.id = c.id GROUP BY j.id
SELECT j.id, j.state, (SELECT j.body || count(*) FROM items) FROM customers c LEFT JOIN jobs j USING (id) GROUP BY j.id, ROLLUP (c.region)
SELECT count(DISTINCT tableoid) FROM events
SELECT tableoid IS NOT NULL, e.* FROM events e WHERE kind LIKE 'k%'
SELECT o.id FROM orders o WHERE ctid IN (SELECT ctid FROM orders WHERE total > 50)
SELECT count(*) FROM orders a JOIN orders b ON a.ctid = b.ctid
SELECT count(*), min(id) FROM orders WHERE ctid > '(0,0)'
SELECT id FROM orders o WHERE o.ctid >= '(0,0)'::tid AND total > 50 ORDER BY id
SELECT id FROM items i, orders o WHERE i.order_id = o.id AND i.ctid = (SELECT min(ctid) FROM items x WHERE x.order_id = o.id)
SELECT id FROM orders ORDER BY ctid DESC LIMIT 3
SELECT o.id FROM public.orders p, orders o WHERE p.ctid = o.ctid
SELECT id, row_number() OVER (PARTITION BY status ORDER BY ctid) FROM orders
DELETE FROM orders WHERE ctid IN (SELECT ctid FROM orders WHERE status = 'sent' ORDER BY id LIMIT 2) RETURNING id
DELETE FROM items a USING items b WHERE a.ctid < b.ctid AND a.order_id = b.order_id RETURNING a.order_id, a.line
DELETE FROM items WHERE ctid = ANY (ARRAY(SELECT ctid FROM items WHERE qty = 2)) RETURNING line
DELETE FROM items WHERE ctid NOT IN (SELECT min(ctid) FROM items GROUP BY order_id) RETURNING order_id, line
UPDATE orders SET note = 'x' WHERE id = 1 RETURNING (xmax = 0) AS fresh, tableoid = 'orders'::regclass
SELECT j.body, c.name, c.region FROM customers c LEFT JOIN jobs j ON j.id = c.id GROUP BY (c.tenant_id, c.id), (j.id)
SELECT c.name, count(*) FROM customers c JOIN orders o ON o.customer_id = c.id WHERE o.note ~ '1' GROUP BY (c.tenant_id, c.id)
SELECT id FROM chores WHERE 'job 2' ~ body
SELECT DISTINCT tenant_id FROM orders WHERE id > 0 GROUP BY CUBE (tenant_id)
SELECT id FROM jobs WHERE 'job 2' ~ body
SELECT j.id, c.name FROM jobs j JOIN customers c ON c.id = j.id WHERE 'job 2' ~ j.body AND 1 / c.id >= 0
SELECT o.id, j.body, n.name FROM orders o LEFT JOIN jobs j ON j.id = o.id JOIN countries n ON n.code <> o.note WHERE 1 / o.id >= 0 AND 10 / o.id > 2 AND lower(n.name) > 'f'
SELECT e.kind, at FROM events e WHERE 1 / length(e.kind) >= 0 AND e.at > '2023-12-01'
