-- Reads that every isolation strategy must answer as a database with the tenant's own rows would (test_strategies.py).

-- join
SELECT o.id, c.name FROM orders o JOIN customers c ON c.id = o.customer_id ORDER BY o.id LIMIT 20;

-- using and left join
SELECT c.id, count(n.id)
    FROM customers c LEFT JOIN notes n ON n.customer_id = c.id AND n.id > 3
    GROUP BY c.id
    ORDER BY 2 DESC, 1 LIMIT 10;

-- full join
SELECT count(*), count(o.id), count(p.id) FROM orders o FULL JOIN products p ON p.id = o.id;

-- old style join
SELECT count(*)
    FROM orders, customers, countries
    WHERE customer_id = customers.id AND country = code;

-- lateral
SELECT c.id, x.id
    FROM customers c CROSS JOIN LATERAL (SELECT id
    FROM orders
    WHERE customer_id = c.id
    ORDER BY id DESC LIMIT 1) x
    ORDER BY 1 LIMIT 10;

-- cte
WITH big AS (SELECT * FROM orders WHERE total > 100) SELECT count(*), sum(big.total) FROM big;

-- cte over cte
WITH a AS (SELECT id
    FROM orders), b AS (SELECT id
    FROM a
    WHERE id % 2 = 0) SELECT count(*)
    FROM b, a
    WHERE a.id = b.id;

-- cte named like a table
WITH orders AS (SELECT id FROM orders WHERE id < 50) SELECT count(*) FROM orders;

-- recursive cte
WITH RECURSIVE n(i) AS (SELECT 1
    UNION ALL SELECT i + 1
    FROM n
    WHERE i < 5) SELECT i, (SELECT count(*)
    FROM orders
    WHERE id % 5 = i % 5)
    FROM n
    ORDER BY i;

-- sub-select in where
SELECT count(*)
    FROM orders
    WHERE customer_id IN (SELECT id
    FROM customers
    WHERE segment = 'consumer');

-- correlated exists
SELECT count(*)
    FROM customers c
    WHERE EXISTS (SELECT 1
    FROM orders o
    WHERE o.customer_id = c.id AND o.total > 50);

-- scalar sub-select
SELECT (SELECT max(total) FROM orders), (SELECT count(*) FROM products);

-- any and all
SELECT count(*) FROM products WHERE price >= ALL (SELECT price FROM products);

-- union
SELECT id, 'o' FROM orders UNION SELECT id, 'p' FROM products ORDER BY 1, 2 LIMIT 30;

-- union all, intersect, except
SELECT id
    FROM orders
    UNION ALL SELECT id
    FROM products
    EXCEPT SELECT id
    FROM customers
    INTERSECT SELECT id
    FROM orders
    ORDER BY 1 DESC LIMIT 10;

-- window
SELECT id, rank() OVER (PARTITION BY region
    ORDER BY total DESC, id)
    FROM orders
    ORDER BY id LIMIT 20;

-- grouping sets
SELECT region, status, count(*) FROM orders GROUP BY ROLLUP (region, status) ORDER BY 1, 2;

-- distinct on
SELECT DISTINCT ON (region) region, id FROM orders ORDER BY region, total DESC, id;

-- having
SELECT region FROM orders GROUP BY region HAVING count(*) > 10 ORDER BY region;

-- values
SELECT v.i, o.id FROM (VALUES (1), (2), (3)) v(i) LEFT JOIN orders o ON o.id = v.i ORDER BY 1;

-- aggregate filter
SELECT count(*) FILTER (WHERE status = 'open'), string_agg(DISTINCT region, ','
    ORDER BY region)
    FROM orders;

-- case and cast
SELECT CASE WHEN total > 100 THEN 'big' ELSE 'small' END, count(*)::int
    FROM orders
    GROUP BY 1
    ORDER BY 1;

-- for update
SELECT id FROM notes ORDER BY id LIMIT 3 FOR UPDATE;
