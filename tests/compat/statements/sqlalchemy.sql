BEGIN;
select pg_catalog.version();
select current_schema();
show transaction isolation level;
show standard_conforming_strings;
SAVEPOINT "_pg3_1";
SELECT
    typname AS name, oid, typarray AS array_oid,
    oid::regtype::text AS regtype, typdelim AS delimiter
FROM pg_type t
WHERE t.oid = to_regtype($1)
ORDER BY t.oid;
RELEASE "_pg3_1";
ROLLBACK;
INSERT INTO categories (parent_id, name, slug) SELECT p0::BIGINT, p1::VARCHAR, p2::VARCHAR FROM (VALUES ($1::BIGINT, $2::VARCHAR, $3::VARCHAR, 0), ($4::BIGINT, $5::VARCHAR, $6::VARCHAR, 1)) AS imp_sen(p0, p1, p2, sen_counter) ORDER BY sen_counter RETURNING categories.id, categories.position, categories.id AS id__1;
INSERT INTO customers (name, email, phone, city, birth_date, preferences, labels, version) SELECT p0::VARCHAR, p1::VARCHAR, p2::VARCHAR, p3::VARCHAR, p4::DATE, p5::JSONB, p6::TEXT[], p7::INTEGER FROM (VALUES ($1::VARCHAR, $2::VARCHAR, $3::VARCHAR, $4::VARCHAR, $5::DATE, $6::JSONB, $7::TEXT[], $8::INTEGER, 0), ($9::VARCHAR, $10::VARCHAR, $11::VARCHAR, $12::VARCHAR, $13::DATE, $14::JSONB, $15::TEXT[], $16::INTEGER, 1), ($17::VARCHAR, $18::VARCHAR, $19::VARCHAR, $20::VARCHAR, $21::DATE, $22::JSONB, $23::TEXT[], $24::INTEGER, 2), ($25::VARCHAR, $26::VARCHAR, $27::VARCHAR, $28::VARCHAR, $29::DATE, $30::JSONB, $31::TEXT[], $32::INTEGER, 3)) AS imp_sen(p0, p1, p2, p3, p4, p5, p6, p7, sen_counter) ORDER BY sen_counter RETURNING customers.id, customers.vip, customers.balance, customers.created_at, customers.updated_at, customers.id AS id__1;
UPDATE categories SET parent_id=$1::BIGINT WHERE categories.id = $2::BIGINT;
INSERT INTO products (sku, title, description, price, stock, attributes, published_at, weight) SELECT p0::VARCHAR, p1::VARCHAR, p2::VARCHAR, p3::NUMERIC(12, 2), p4::INTEGER, p5::JSONB, p6::TIMESTAMP WITH TIME ZONE, p7::FLOAT FROM (VALUES ($1::VARCHAR, $2::VARCHAR, $3::VARCHAR, $4, $5::INTEGER, $6::JSONB, $7::TIMESTAMP WITH TIME ZONE, $8, 0), ($9::VARCHAR, $10::VARCHAR, $11::VARCHAR, $12, $13::INTEGER, $14::JSONB, $15::TIMESTAMP WITH TIME ZONE, $16, 1), ($17::VARCHAR, $18::VARCHAR, $19::VARCHAR, $20, $21::INTEGER, $22::JSONB, $23::TIMESTAMP WITH TIME ZONE, $24, 2), ($25::VARCHAR, $26::VARCHAR, $27::VARCHAR, $28, $29::INTEGER, $30::JSONB, $31::TIMESTAMP WITH TIME ZONE, $32, 3), ($33::VARCHAR, $34::VARCHAR, $35::VARCHAR, $36, $37::INTEGER, $38::JSONB, $39::TIMESTAMP WITH TIME ZONE, $40, 4)) AS imp_sen(p0, p1, p2, p3, p4, p5, p6, p7, sen_counter) ORDER BY sen_counter RETURNING products.id, products.id AS id__1;
INSERT INTO product_categories (product_id, category_id) VALUES ($1::BIGINT, $2::BIGINT);
SELECT (SELECT count(*) AS count_1 
FROM order_items i 
WHERE i.order_id = orders.id) AS anon_1, orders.id, orders.customer_id, orders.number, orders.status, orders.total, orders.currency, orders.note, orders.placed_at, orders.shipped_at, orders.lock_version 
FROM orders 
WHERE $1::BIGINT = orders.customer_id;
INSERT INTO orders (customer_id, number, total, note, shipped_at, lock_version) VALUES ($1::BIGINT, $2::VARCHAR, $3, $4::VARCHAR, $5::TIMESTAMP WITH TIME ZONE, $6::INTEGER) RETURNING orders.id, orders.status, orders.currency, orders.placed_at;
INSERT INTO order_items (order_id, product_id, quantity, unit_price, discount) VALUES ($1::BIGINT, $2::BIGINT, $3::INTEGER, $4, $5) RETURNING order_items.id;
INSERT INTO payments (order_id, kind, amount, details, paid_at) VALUES ($1::BIGINT, $2::VARCHAR, $3, $4::JSONB, $5::TIMESTAMP WITH TIME ZONE) RETURNING payments.id;
INSERT INTO events (customer_id, name, properties, address) SELECT p0::INTEGER, p1::VARCHAR, p2::JSONB, p3::INET FROM (VALUES ($1::INTEGER, $2::VARCHAR, $3::JSONB, $4, 0), ($5::INTEGER, $6::VARCHAR, $7::JSONB, $8, 1), ($9::INTEGER, $10::VARCHAR, $11::JSONB, $12, 2)) AS imp_sen(p0, p1, p2, p3, sen_counter) ORDER BY sen_counter RETURNING events.id, events.happened_at, events.id AS id__1;
COMMIT;
SELECT customers.id, customers.name, customers.email, customers.phone, customers.city, customers.birth_date, customers.vip, customers.balance, customers.preferences, customers.labels, customers.created_at, customers.updated_at, customers.version 
FROM customers 
WHERE customers.id = $1::BIGINT;
SELECT customers.id, customers.name, customers.email, customers.phone, customers.city, customers.birth_date, customers.vip, customers.balance, customers.preferences, customers.labels, customers.created_at, customers.updated_at, customers.version 
FROM customers 
WHERE customers.city IN ($1::VARCHAR, $2::VARCHAR);
SELECT (SELECT count(*) AS count_1 
FROM order_items i 
WHERE i.order_id = orders.id) AS anon_1, orders.id, orders.customer_id, orders.number, orders.status, orders.total, orders.currency, orders.note, orders.placed_at, orders.shipped_at, orders.lock_version, customers_1.id AS id_1, customers_1.name, customers_1.email, customers_1.phone, customers_1.city, customers_1.birth_date, customers_1.vip, customers_1.balance, customers_1.preferences, customers_1.labels, customers_1.created_at, customers_1.updated_at, customers_1.version 
FROM orders LEFT OUTER JOIN customers AS customers_1 ON customers_1.id = orders.customer_id;
SELECT order_items.order_id, order_items.id, order_items.product_id, order_items.quantity, order_items.unit_price, order_items.discount, products_1.id, products_1.sku, products_1.title, products_1.description, products_1.price, products_1.stock, products_1.attributes, products_1.published_at, products_1.weight 
FROM order_items LEFT OUTER JOIN products AS products_1 ON products_1.id = order_items.product_id 
WHERE order_items.order_id IN ($1::BIGINT, $2::BIGINT, $3::BIGINT, $4::BIGINT);
SELECT (SELECT count(*) AS count_1 
FROM order_items i 
WHERE i.order_id = orders.id) AS anon_1, orders.id, orders.customer_id, orders.number, orders.status, orders.total, orders.currency, orders.note, orders.placed_at, orders.shipped_at, orders.lock_version 
FROM orders;
SELECT order_items.id AS order_items_id, order_items.order_id AS order_items_order_id, order_items.product_id AS order_items_product_id, order_items.quantity AS order_items_quantity, order_items.unit_price AS order_items_unit_price, order_items.discount AS order_items_discount, anon_1.orders_id AS anon_1_orders_id 
FROM (SELECT orders.id AS orders_id 
FROM orders) AS anon_1 JOIN order_items ON anon_1.orders_id = order_items.order_id;
SELECT customers.id, customers.name, customers.email, customers.phone, customers.city, customers.birth_date, customers.vip, customers.balance, customers.preferences, customers.labels, customers.created_at, customers.updated_at, customers.version 
FROM customers;
SELECT orders.customer_id, (SELECT count(*) AS count_1 
FROM order_items i 
WHERE i.order_id = orders.id) AS anon_1, orders.id, orders.number, orders.status, orders.total, orders.currency, orders.note, orders.placed_at, orders.shipped_at, orders.lock_version 
FROM orders 
WHERE orders.customer_id IN ($1::BIGINT, $2::BIGINT, $3::BIGINT, $4::BIGINT);
SELECT products.id, products.sku, products.title, products.description, products.price, products.stock, products.attributes, products.published_at, products.weight 
FROM products;
SELECT product_categories.product_id, categories.id, categories.parent_id, categories.name, categories.slug, categories.position 
FROM product_categories JOIN categories ON categories.id = product_categories.category_id 
WHERE product_categories.product_id IN ($1::BIGINT, $2::BIGINT, $3::BIGINT, $4::BIGINT, $5::BIGINT);
SELECT categories.id, categories.parent_id, categories.name, categories.slug, categories.position, categories_1.id AS id_1, categories_1.parent_id AS parent_id_1, categories_1.name AS name_1, categories_1.slug AS slug_1, categories_1.position AS position_1 
FROM categories LEFT OUTER JOIN categories AS categories_1 ON categories.id = categories_1.parent_id;
SELECT (SELECT count(*) AS count_1 
FROM order_items i 
WHERE i.order_id = orders.id) AS anon_1, orders.id, orders.customer_id, orders.number, orders.status, orders.total, orders.currency, orders.note, orders.placed_at, orders.shipped_at, orders.lock_version 
FROM orders JOIN customers ON customers.id = orders.customer_id 
WHERE customers.vip IS false ORDER BY orders.placed_at DESC NULLS LAST 
 LIMIT $1::INTEGER OFFSET $2::INTEGER;
SELECT customers.city, count(orders.id) AS count_1, sum(orders.total) AS sum_1, avg(orders.total) AS avg_1 
FROM customers JOIN orders ON customers.id = orders.customer_id GROUP BY customers.city 
HAVING count(orders.id) > $1::INTEGER;
SELECT customers.name, anon_1.last 
FROM customers JOIN (SELECT orders.customer_id AS customer_id, max(orders.placed_at) AS last 
FROM orders GROUP BY orders.customer_id) AS anon_1 ON anon_1.customer_id = customers.id;
WITH totals AS 
(SELECT orders.customer_id AS customer_id, sum(orders.total) AS t 
FROM orders GROUP BY orders.customer_id)
 SELECT customers.name, totals.t 
FROM customers JOIN totals ON totals.customer_id = customers.id 
WHERE totals.t > $1::INTEGER;
WITH RECURSIVE tree(id, parent_id, name, depth) AS 
(SELECT categories.id AS id, categories.parent_id AS parent_id, categories.name AS name, $1::INTEGER AS depth 
FROM categories 
WHERE categories.parent_id IS NULL UNION ALL SELECT categories_1.id AS id, categories_1.parent_id AS parent_id, categories_1.name AS name, tree.depth + $2::INTEGER AS anon_1 
FROM categories AS categories_1 JOIN tree ON categories_1.parent_id = tree.id)
 SELECT tree.id, tree.parent_id, tree.name, tree.depth 
FROM tree;
SELECT anon_1.id, anon_1.rn 
FROM (SELECT orders.id AS id, row_number() OVER (PARTITION BY orders.customer_id ORDER BY orders.placed_at DESC) AS rn 
FROM orders) AS anon_1 
WHERE anon_1.rn = $1::INTEGER;
SELECT orders.id, rank() OVER (ORDER BY orders.total) AS anon_1, lag(orders.total, $1::INTEGER) OVER (ORDER BY orders.placed_at) AS anon_2, sum(orders.total) OVER (ORDER BY orders.placed_at ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS anon_3 
FROM orders;
SELECT EXISTS (SELECT * 
FROM customers 
WHERE customers.email = $1::VARCHAR) AS anon_1;
SELECT customers.id, customers.name, customers.email, customers.phone, customers.city, customers.birth_date, customers.vip, customers.balance, customers.preferences, customers.labels, customers.created_at, customers.updated_at, customers.version 
FROM customers 
WHERE EXISTS (SELECT 1 
FROM orders 
WHERE orders.customer_id = customers.id);
SELECT customers.id, customers.name, customers.email, customers.phone, customers.city, customers.birth_date, customers.vip, customers.balance, customers.preferences, customers.labels, customers.created_at, customers.updated_at, customers.version 
FROM customers 
WHERE NOT (EXISTS (SELECT 1 
FROM orders 
WHERE customers.id = orders.customer_id AND orders.status = $1::VARCHAR));
SELECT (SELECT count(*) AS count_1 
FROM order_items i 
WHERE i.order_id = orders.id) AS anon_1, orders.id, orders.customer_id, orders.number, orders.status, orders.total, orders.currency, orders.note, orders.placed_at, orders.shipped_at, orders.lock_version 
FROM orders 
WHERE EXISTS (SELECT 1 
FROM customers 
WHERE customers.id = orders.customer_id AND customers.city = $1::VARCHAR);
SELECT products.id, products.sku, products.title, products.description, products.price, products.stock, products.attributes, products.published_at, products.weight 
FROM products 
WHERE EXISTS (SELECT 1 
FROM categories, product_categories 
WHERE products.id = product_categories.product_id AND categories.id = product_categories.category_id AND categories.slug = $1::VARCHAR);
SELECT customers.id, customers.name, customers.email, customers.phone, customers.city, customers.birth_date, customers.vip, customers.balance, customers.preferences, customers.labels, customers.created_at, customers.updated_at, customers.version 
FROM customers 
WHERE CAST((customers.preferences ->> $1::TEXT) AS BOOLEAN) IS true;
SELECT customers.id, customers.name, customers.email, customers.phone, customers.city, customers.birth_date, customers.vip, customers.balance, customers.preferences, customers.labels, customers.created_at, customers.updated_at, customers.version 
FROM customers 
WHERE customers.preferences @> $1::JSONB;
SELECT customers.id, customers.name, customers.email, customers.phone, customers.city, customers.birth_date, customers.vip, customers.balance, customers.preferences, customers.labels, customers.created_at, customers.updated_at, customers.version 
FROM customers 
WHERE customers.preferences ? $1::VARCHAR;
SELECT (customers.preferences[$1::TEXT]) ->> $2::TEXT AS anon_1 
FROM customers;
SELECT customers.id, customers.name, customers.email, customers.phone, customers.city, customers.birth_date, customers.vip, customers.balance, customers.preferences, customers.labels, customers.created_at, customers.updated_at, customers.version 
FROM customers 
WHERE customers.labels @> $1::TEXT[];
SELECT customers.id, customers.name, customers.email, customers.phone, customers.city, customers.birth_date, customers.vip, customers.balance, customers.preferences, customers.labels, customers.created_at, customers.updated_at, customers.version 
FROM customers 
WHERE $1::VARCHAR = ANY (customers.labels);
SELECT customers.id, customers.name, customers.email, customers.phone, customers.city, customers.birth_date, customers.vip, customers.balance, customers.preferences, customers.labels, customers.created_at, customers.updated_at, customers.version 
FROM customers 
WHERE customers.labels && $1::TEXT[];
SELECT unnest(customers.labels) AS unnest_1 
FROM customers;
SELECT array_agg(customers.name ORDER BY customers.id DESC) AS array_agg_1 
FROM customers;
SELECT string_agg(customers.name, $1::VARCHAR) AS string_agg_1 
FROM customers;
SELECT jsonb_agg(jsonb_build_object($1::VARCHAR, customers.id, $2::VARCHAR, customers.name)) AS jsonb_agg_1 
FROM customers;
SELECT json_object_agg(customers.id, customers.name) AS json_object_agg_1 
FROM customers;
DEALLOCATE ALL;
SELECT date_trunc($1::VARCHAR, orders.placed_at) AS m, count(*) AS count_1 
FROM orders GROUP BY m ORDER BY m;
SELECT EXTRACT(year FROM orders.placed_at) AS anon_1, EXTRACT(dow FROM orders.placed_at) AS anon_2 
FROM orders;
SELECT coalesce(sum(orders.total), $1::INTEGER) AS coalesce_1 
FROM orders;
SELECT count(DISTINCT orders.customer_id) AS count_1 
FROM orders;
SELECT count(*) AS count_1 
FROM customers 
WHERE customers.name ILIKE $1::VARCHAR;
SELECT customers.id, customers.name, customers.email, customers.phone, customers.city, customers.birth_date, customers.vip, customers.balance, customers.preferences, customers.labels, customers.created_at, customers.updated_at, customers.version 
FROM customers 
WHERE customers.name LIKE $1::VARCHAR ESCAPE '/';
SELECT customers.id, customers.name, customers.email, customers.phone, customers.city, customers.birth_date, customers.vip, customers.balance, customers.preferences, customers.labels, customers.created_at, customers.updated_at, customers.version 
FROM customers 
WHERE customers.name ~ $1::VARCHAR;
SELECT customers.id, customers.name, customers.email, customers.phone, customers.city, customers.birth_date, customers.vip, customers.balance, customers.preferences, customers.labels, customers.created_at, customers.updated_at, customers.version 
FROM customers 
WHERE (customers.name ILIKE '%' || $1::VARCHAR || '%' ESCAPE '/');
SELECT customers.id, customers.name, customers.email, customers.phone, customers.city, customers.birth_date, customers.vip, customers.balance, customers.preferences, customers.labels, customers.created_at, customers.updated_at, customers.version 
FROM customers 
WHERE lower(customers.email) = $1::VARCHAR;
SELECT percentile_cont($1) WITHIN GROUP (ORDER BY orders.total) AS percentile_cont_1 
FROM orders;
SELECT count(*) FILTER (WHERE orders.status = $1::VARCHAR) AS anon_1 
FROM orders;
SELECT CASE WHEN (orders.total > $1::INTEGER) THEN $2::VARCHAR ELSE $3::VARCHAR END AS size, count(*) AS count_1 
FROM orders GROUP BY size;
SELECT DISTINCT customers.name 
FROM customers ORDER BY customers.name;
SELECT DISTINCT ON (orders.customer_id) (SELECT count(*) AS count_1 
FROM order_items i 
WHERE i.order_id = orders.id) AS anon_1, orders.id, orders.customer_id, orders.number, orders.status, orders.total, orders.currency, orders.note, orders.placed_at, orders.shipped_at, orders.lock_version 
FROM orders ORDER BY orders.customer_id, orders.placed_at DESC;
SELECT customers.name 
FROM customers UNION ALL SELECT products.title 
FROM products ORDER BY name 
 LIMIT $1::INTEGER;
SELECT customers.id 
FROM customers INTERSECT SELECT orders.customer_id 
FROM orders;
SELECT customers.id 
FROM customers EXCEPT SELECT orders.customer_id 
FROM orders;
SELECT customers.name, best.total 
FROM customers LEFT OUTER JOIN LATERAL (SELECT orders.id AS id, orders.total AS total 
FROM orders 
WHERE orders.customer_id = customers.id ORDER BY orders.total DESC 
 LIMIT $1::INTEGER) AS best ON true;
SELECT v.a, v.b 
FROM (VALUES ($1::INTEGER, $2::VARCHAR), ($3::INTEGER, $4::VARCHAR)) AS v (a, b);
SELECT customers.name, v.b 
FROM customers JOIN (VALUES ($1::INTEGER, $2::VARCHAR), ($3::INTEGER, $4::VARCHAR)) AS v (a, b) ON v.a = customers.id;
SELECT grouping(customers.city) AS grouping_1, count(*) AS count_1 
FROM customers GROUP BY ROLLUP(customers.city);
SELECT customers.city, customers.vip, count(*) AS count_1 
FROM customers GROUP BY GROUPING SETS((customers.city), (customers.vip));
SELECT (SELECT count(*) AS count_1 
FROM order_items i 
WHERE i.order_id = orders.id) AS anon_1, orders.id, orders.customer_id, orders.number, orders.status, orders.total, orders.currency, orders.note, orders.placed_at, orders.shipped_at, orders.lock_version 
FROM orders 
WHERE orders.id = $1::BIGINT FOR UPDATE;
SELECT (SELECT count(*) AS count_1 
FROM order_items i 
WHERE i.order_id = orders.id) AS anon_1, orders.id, orders.customer_id, orders.number, orders.status, orders.total, orders.currency, orders.note, orders.placed_at, orders.shipped_at, orders.lock_version 
FROM orders 
WHERE orders.id = $1::BIGINT FOR UPDATE OF orders SKIP LOCKED;
SELECT (SELECT count(*) AS count_1 
FROM order_items i 
WHERE i.order_id = orders.id) AS anon_1, orders.id, orders.customer_id, orders.number, orders.status, orders.total, orders.currency, orders.note, orders.placed_at, orders.shipped_at, orders.lock_version 
FROM orders JOIN customers ON customers.id = orders.customer_id FOR SHARE OF orders NOWAIT;
SELECT (SELECT count(*) AS count_1 
FROM order_items i 
WHERE i.order_id = orders.id) AS anon_1, orders.id, orders.customer_id, orders.number, orders.status, orders.total, orders.currency, orders.note, orders.placed_at, orders.shipped_at, orders.lock_version 
FROM orders FOR NO KEY UPDATE;
UPDATE customers SET name=$1::VARCHAR, updated_at=now(), version=$2::INTEGER WHERE customers.id = $3::BIGINT AND customers.version = $4::INTEGER;
SELECT (SELECT count(*) AS count_1 
FROM order_items i 
WHERE i.order_id = orders.id) AS anon_1, orders.id, orders.customer_id, orders.number, orders.status, orders.total, orders.currency, orders.note, orders.placed_at, orders.shipped_at, orders.lock_version 
FROM orders 
WHERE orders.id = $1::BIGINT;
UPDATE orders SET note=$1::VARCHAR WHERE orders.id = $2::BIGINT;
SELECT order_items.id, order_items.order_id, order_items.product_id, order_items.quantity, order_items.unit_price, order_items.discount 
FROM order_items 
WHERE $1::BIGINT = order_items.order_id;
DELETE FROM order_items WHERE order_items.id = $1::BIGINT;
SELECT customers.name 
FROM customers 
WHERE customers.id = $1::BIGINT FOR UPDATE;
UPDATE products SET stock=(products.stock - $1::INTEGER) WHERE products.stock > $2::INTEGER;
UPDATE products SET price=(products.price * $1::INTEGER) WHERE products.id = $2::BIGINT RETURNING products.id, products.price;
UPDATE orders SET note=$1::VARCHAR FROM customers WHERE orders.customer_id = customers.id AND customers.city = $2::VARCHAR;
UPDATE customers SET balance=(SELECT coalesce(sum(orders.total), $1::INTEGER) AS coalesce_1 
FROM orders 
WHERE orders.customer_id = customers.id), updated_at=now();
DELETE FROM events WHERE events.happened_at < $1::TIMESTAMP WITH TIME ZONE;
DELETE FROM order_items WHERE order_items.order_id IN (SELECT orders.id 
FROM orders 
WHERE orders.status = $1::VARCHAR);
DELETE FROM events WHERE events.id = $1::BIGINT RETURNING events.id;
DELETE FROM order_items USING orders WHERE order_items.order_id = orders.id AND orders.status = $1::VARCHAR;
INSERT INTO events (name) VALUES ($1::VARCHAR), ($2::VARCHAR);
INSERT INTO events (name) VALUES ($1::VARCHAR), ($2::VARCHAR) RETURNING events.id, events.name;
INSERT INTO products (sku, title, price) VALUES ($1::VARCHAR, $2::VARCHAR, $3) ON CONFLICT DO NOTHING RETURNING products.id;
INSERT INTO events (name, customer_id) SELECT customers.name, customers.id 
FROM customers;
INSERT INTO categories (name, slug) VALUES ($1::VARCHAR, $2::VARCHAR) ON CONFLICT DO NOTHING RETURNING categories.id;
UPDATE products SET price=$1 WHERE products.id = $2::BIGINT;
INSERT INTO customers (name, email, version) VALUES ($1::VARCHAR, $2::VARCHAR, $3::INTEGER);
SAVEPOINT sa_savepoint_1;
INSERT INTO events (customer_id, name, address) VALUES ($1::INTEGER, $2::VARCHAR, $3) RETURNING events.id, events.happened_at;
RELEASE SAVEPOINT sa_savepoint_1;
SAVEPOINT sa_savepoint_2;
SELECT length($1::VARCHAR) AS length_1;
ROLLBACK TO SAVEPOINT sa_savepoint_2;
SELECT payments.id 
FROM payments 
 LIMIT $1::INTEGER;
SELECT payments.id, payments.order_id, payments.kind, payments.amount, payments.details, payments.paid_at 
FROM payments 
WHERE payments.id = $1::UUID;
DELETE FROM payments WHERE payments.id = $1::UUID;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT 1;
BEGIN ISOLATION LEVEL READ COMMITTED;
DECLARE "c_7f80e0361710_1" CURSOR FOR SELECT customers.id 
FROM customers;
FETCH FORWARD 1 FROM "c_7f80e0361710_1";
CLOSE "c_7f80e0361710_1";
DECLARE "c_7f80e0362b50_2" CURSOR FOR SELECT id, name FROM customers WHERE created_at > now() - interval '7 days' AND city = $1;
FETCH FORWARD 1 FROM "c_7f80e0362b50_2";
FETCH FORWARD ALL FROM "c_7f80e0362b50_2";
CLOSE "c_7f80e0362b50_2";
DECLARE "c_7f80e0363290_3" CURSOR FOR SELECT CAST(orders.total AS INTEGER) AS total, CAST(orders.placed_at AS DATE) AS placed_at, orders.id AS id, CAST(orders.total AS VARCHAR) AS total__1 
FROM orders;
FETCH FORWARD 1 FROM "c_7f80e0363290_3";
CLOSE "c_7f80e0363290_3";
SELECT to_char(orders.placed_at, $1::VARCHAR) AS to_char_1, age(orders.placed_at) AS age_1, now() - orders.placed_at AS anon_1, orders.placed_at + interval '1 day' AS anon_2 
FROM orders;
SELECT orders.placed_at AT TIME ZONE $1::VARCHAR AS anon_1 
FROM orders;
SELECT to_tsvector($1::REGCONFIG, products.title) @@ plainto_tsquery($2::REGCONFIG, $3::VARCHAR) AS anon_1 
FROM products;
SELECT products.id, products.sku, products.title, products.description, products.price, products.stock, products.attributes, products.published_at, products.weight 
FROM products 
WHERE products.title @@ plainto_tsquery($1::VARCHAR);
SELECT greatest(products.price, $1::INTEGER) AS greatest_1, round(products.price, $2::INTEGER) AS round_1, nullif(products.stock, $3::INTEGER) AS nullif_1, products.price / CAST(nullif(products.stock, $4::INTEGER) AS NUMERIC) AS anon_1, ceil(products.price) AS ceil_1, random() AS random_1 
FROM products;
SELECT md5(customers.email) AS md5_1, concat_ws($1::VARCHAR, customers.name, customers.city) AS concat_ws_1, SUBSTRING(customers.name FROM $2::INTEGER FOR $3::INTEGER) AS substring_1, split_part(customers.email, $4::VARCHAR, $5::INTEGER) AS split_part_1, initcap(customers.name) AS initcap_1 
FROM customers;
SELECT customers.id, customers.name, customers.email, customers.phone, customers.city, customers.birth_date, customers.vip, customers.balance, customers.preferences, customers.labels, customers.created_at, customers.updated_at, customers.version 
FROM customers 
WHERE customers.birth_date BETWEEN $1::DATE AND $2::DATE;
SELECT customers.id, customers.name, customers.email, customers.phone, customers.city, customers.birth_date, customers.vip, customers.balance, customers.preferences, customers.labels, customers.created_at, customers.updated_at, customers.version 
FROM customers 
WHERE (customers.email IS NULL OR customers.vip AND customers.balance >= $1::INTEGER) AND customers.city != $2::VARCHAR AND customers.phone IS DISTINCT FROM $3::VARCHAR;
SELECT pg_catalog.pg_class.relname 
FROM pg_catalog.pg_class JOIN pg_catalog.pg_namespace ON pg_catalog.pg_namespace.oid = pg_catalog.pg_class.relnamespace 
WHERE pg_catalog.pg_class.relkind = ANY (ARRAY[$1::VARCHAR, $2::VARCHAR]) AND pg_catalog.pg_class.relpersistence != $3::VARCHAR AND pg_catalog.pg_table_is_visible(pg_catalog.pg_class.oid) AND pg_catalog.pg_namespace.nspname != $4::VARCHAR;
SELECT pg_catalog.pg_class.relname 
FROM pg_catalog.pg_class JOIN pg_catalog.pg_namespace ON pg_catalog.pg_namespace.oid = pg_catalog.pg_class.relnamespace 
WHERE pg_catalog.pg_class.relkind = ANY (ARRAY[$1::VARCHAR]) AND pg_catalog.pg_class.relpersistence != $2::VARCHAR AND pg_catalog.pg_table_is_visible(pg_catalog.pg_class.oid) AND pg_catalog.pg_namespace.nspname != $3::VARCHAR;
SELECT pg_catalog.pg_namespace.nspname 
FROM pg_catalog.pg_namespace 
WHERE (pg_catalog.pg_namespace.nspname NOT LIKE $1::VARCHAR || '%' ESCAPE '/') ORDER BY pg_catalog.pg_namespace.nspname;
SELECT pg_catalog.pg_attribute.attname AS name, pg_catalog.format_type(pg_catalog.pg_attribute.atttypid, pg_catalog.pg_attribute.atttypmod) AS format_type, CASE WHEN pg_catalog.pg_attribute.atthasdef THEN (SELECT pg_catalog.pg_get_expr(pg_catalog.pg_attrdef.adbin, pg_catalog.pg_attrdef.adrelid) AS pg_get_expr_1 
FROM pg_catalog.pg_attrdef 
WHERE pg_catalog.pg_attribute.atthasdef AND pg_catalog.pg_attrdef.adrelid = pg_catalog.pg_attribute.attrelid AND pg_catalog.pg_attrdef.adnum = pg_catalog.pg_attribute.attnum) ELSE NULL END AS "default", pg_catalog.pg_attribute.attnotnull AS not_null, pg_catalog.pg_class.relname AS table_name, pg_catalog.pg_description.description AS comment, pg_catalog.pg_attribute.attgenerated AS generated, CASE WHEN (pg_catalog.pg_attribute.attidentity != $1::VARCHAR) THEN (SELECT json_build_object($2::VARCHAR, pg_catalog.pg_attribute.attidentity = $3::VARCHAR, $4::VARCHAR, pg_catalog.pg_sequence.seqstart, $5::VARCHAR, pg_catalog.pg_sequence.seqincrement, $6::VARCHAR, pg_catalog.pg_sequence.seqmin, $7::VARCHAR, pg_catalog.pg_sequence.seqmax, $8::VARCHAR, pg_catalog.pg_sequence.seqcache, $9::VARCHAR, pg_catalog.pg_sequence.seqcycle) AS json_build_object_1 
FROM pg_catalog.pg_sequence 
WHERE pg_catalog.pg_attribute.attidentity != $10::VARCHAR AND pg_catalog.pg_sequence.seqrelid = CAST(CAST(pg_catalog.pg_get_serial_sequence(CAST(CAST(pg_catalog.pg_attribute.attrelid AS REGCLASS) AS TEXT), pg_catalog.pg_attribute.attname) AS REGCLASS) AS OID)) ELSE NULL END AS identity_options, CASE WHEN (pg_catalog.pg_attribute.attcollation != $11::INTEGER AND (SELECT pg_catalog.pg_type.typcollation 
FROM pg_catalog.pg_type 
WHERE pg_catalog.pg_type.oid = pg_catalog.pg_attribute.atttypid) != pg_catalog.pg_attribute.attcollation) THEN (SELECT json_build_object($12::VARCHAR, pg_catalog.pg_collation.collname, $13::VARCHAR, CASE WHEN pg_catalog.pg_collation_is_visible(pg_catalog.pg_collation.oid) THEN NULL ELSE pg_catalog.pg_namespace.nspname END) AS json_build_object_9 
FROM pg_catalog.pg_collation JOIN pg_catalog.pg_namespace ON pg_catalog.pg_namespace.oid = pg_catalog.pg_collation.collnamespace 
WHERE pg_catalog.pg_collation.oid = pg_catalog.pg_attribute.attcollation) ELSE NULL END AS collation 
FROM pg_catalog.pg_class LEFT OUTER JOIN pg_catalog.pg_attribute ON pg_catalog.pg_class.oid = pg_catalog.pg_attribute.attrelid AND pg_catalog.pg_attribute.attnum > $14::SMALLINT AND NOT pg_catalog.pg_attribute.attisdropped LEFT OUTER JOIN pg_catalog.pg_description ON pg_catalog.pg_description.objoid = pg_catalog.pg_attribute.attrelid AND pg_catalog.pg_description.objsubid = pg_catalog.pg_attribute.attnum JOIN pg_catalog.pg_namespace ON pg_catalog.pg_namespace.oid = pg_catalog.pg_class.relnamespace 
WHERE pg_catalog.pg_class.relkind = ANY (ARRAY[$15::VARCHAR, $16::VARCHAR, $17::VARCHAR, $18::VARCHAR, $19::VARCHAR]) AND pg_catalog.pg_table_is_visible(pg_catalog.pg_class.oid) AND pg_catalog.pg_namespace.nspname != $20::VARCHAR AND pg_catalog.pg_class.relname IN ($21::VARCHAR) ORDER BY pg_catalog.pg_class.relname, pg_catalog.pg_attribute.attnum;
SELECT pg_catalog.pg_class.oid, pg_catalog.pg_class.relname 
FROM pg_catalog.pg_class JOIN pg_catalog.pg_namespace ON pg_catalog.pg_namespace.oid = pg_catalog.pg_class.relnamespace 
WHERE pg_catalog.pg_class.relkind = ANY (ARRAY[$1::VARCHAR, $2::VARCHAR, $3::VARCHAR, $4::VARCHAR, $5::VARCHAR]) AND pg_catalog.pg_table_is_visible(pg_catalog.pg_class.oid) AND pg_catalog.pg_namespace.nspname != $6::VARCHAR AND pg_catalog.pg_class.relname IN ($7::VARCHAR);
SELECT attr.conrelid, array_agg(CAST(attr.attname AS TEXT) ORDER BY attr.ord) AS cols, attr.conname, min(attr.description) AS description, min(attr.indnkeyatts) AS indnkeyatts, bool_and(attr.indnullsnotdistinct) AS indnullsnotdistinct 
FROM (SELECT con.conrelid AS conrelid, con.conname AS conname, con.description AS description, con.ord AS ord, con.indnkeyatts AS indnkeyatts, con.indnullsnotdistinct AS indnullsnotdistinct, pg_catalog.pg_attribute.attname AS attname 
FROM pg_catalog.pg_attribute JOIN (SELECT pg_catalog.pg_constraint.conrelid AS conrelid, pg_catalog.pg_constraint.conname AS conname, unnest(pg_catalog.pg_index.indkey) AS attnum, generate_subscripts(pg_catalog.pg_index.indkey, $1::INTEGER) AS ord, pg_catalog.pg_index.indnkeyatts AS indnkeyatts, pg_catalog.pg_index.indnullsnotdistinct AS indnullsnotdistinct, pg_catalog.pg_description.description AS description 
FROM pg_catalog.pg_constraint JOIN pg_catalog.pg_index ON pg_catalog.pg_constraint.conindid = pg_catalog.pg_index.indexrelid LEFT OUTER JOIN pg_catalog.pg_description ON pg_catalog.pg_description.objoid = pg_catalog.pg_constraint.oid AND pg_catalog.pg_description.classoid = CAST($2 AS REGCLASS) 
WHERE pg_catalog.pg_constraint.contype = $3::VARCHAR AND pg_catalog.pg_constraint.conrelid IN ($4)) AS con ON pg_catalog.pg_attribute.attnum = con.attnum AND pg_catalog.pg_attribute.attrelid = con.conrelid 
WHERE con.conrelid IN ($4)) AS attr GROUP BY attr.conrelid, attr.conname ORDER BY attr.conrelid, attr.conname;
SELECT pg_catalog.pg_class.relname, pg_catalog.pg_constraint.conname, CASE WHEN (pg_catalog.pg_constraint.oid IS NOT NULL) THEN pg_catalog.pg_get_constraintdef(pg_catalog.pg_constraint.oid, $1) END AS anon_1, nsp_ref.nspname, pg_catalog.pg_description.description 
FROM pg_catalog.pg_class LEFT OUTER JOIN pg_catalog.pg_constraint ON pg_catalog.pg_class.oid = pg_catalog.pg_constraint.conrelid AND pg_catalog.pg_constraint.contype = $2::VARCHAR LEFT OUTER JOIN pg_catalog.pg_class AS cls_ref ON cls_ref.oid = pg_catalog.pg_constraint.confrelid LEFT OUTER JOIN pg_catalog.pg_namespace AS nsp_ref ON cls_ref.relnamespace = nsp_ref.oid LEFT OUTER JOIN pg_catalog.pg_description ON pg_catalog.pg_description.objoid = pg_catalog.pg_constraint.oid AND pg_catalog.pg_description.classoid = CAST($3 AS REGCLASS) JOIN pg_catalog.pg_namespace ON pg_catalog.pg_namespace.oid = pg_catalog.pg_class.relnamespace 
WHERE pg_catalog.pg_class.relkind = ANY (ARRAY[$4::VARCHAR, $5::VARCHAR, $6::VARCHAR, $7::VARCHAR, $8::VARCHAR]) AND pg_catalog.pg_table_is_visible(pg_catalog.pg_class.oid) AND pg_catalog.pg_namespace.nspname != $9::VARCHAR AND pg_catalog.pg_class.relname IN ($10::VARCHAR) ORDER BY pg_catalog.pg_class.relname, pg_catalog.pg_constraint.conname;
SELECT pg_catalog.pg_am.oid, pg_catalog.pg_am.amname 
FROM pg_catalog.pg_am 
WHERE pg_catalog.pg_am.amname = $1::VARCHAR;
SELECT pg_catalog.pg_opclass.oid, pg_catalog.pg_opclass.opcname 
FROM pg_catalog.pg_opclass 
WHERE NOT pg_catalog.pg_opclass.opcdefault;
SELECT pg_catalog.pg_index.indrelid, pg_catalog.pg_class.relname, pg_catalog.pg_index.indisunique, pg_catalog.pg_index.indisvalid, pg_catalog.pg_constraint.conrelid IS NOT NULL AS has_constraint, pg_catalog.pg_index.indoption, pg_catalog.pg_class.reloptions, pg_catalog.pg_class.relam, CASE WHEN (pg_catalog.pg_index.indpred IS NOT NULL) THEN pg_catalog.pg_get_expr(pg_catalog.pg_index.indpred, pg_catalog.pg_index.indrelid) END AS filter_definition, pg_catalog.pg_index.indnkeyatts, pg_catalog.pg_index.indnullsnotdistinct, idx_cols.elements, idx_cols.elements_is_expr, idx_cols.elements_opclass 
FROM pg_catalog.pg_index JOIN pg_catalog.pg_class ON pg_catalog.pg_index.indexrelid = pg_catalog.pg_class.oid LEFT OUTER JOIN (SELECT idx_attr.indexrelid AS indexrelid, min(idx_attr.indrelid) AS min_1, array_agg(idx_attr.element ORDER BY idx_attr.ord) AS elements, array_agg(idx_attr.is_expr ORDER BY idx_attr.ord) AS elements_is_expr, array_agg(idx_attr.att_opclass ORDER BY idx_attr.ord) AS elements_opclass 
FROM (SELECT idx.indexrelid AS indexrelid, idx.indrelid AS indrelid, idx.ord AS ord, CASE WHEN (idx.attnum = $1::INTEGER) THEN pg_catalog.pg_get_indexdef(idx.indexrelid, idx.ord + $2::INTEGER, $3) ELSE CAST(pg_catalog.pg_attribute.attname AS TEXT) END AS element, idx.attnum = $4::INTEGER AS is_expr, CAST(idx.att_opclass AS BIGINT) AS att_opclass 
FROM (SELECT pg_catalog.pg_index.indexrelid AS indexrelid, pg_catalog.pg_index.indrelid AS indrelid, unnest(pg_catalog.pg_index.indkey) AS attnum, unnest(pg_catalog.pg_index.indclass) AS att_opclass, generate_subscripts(pg_catalog.pg_index.indkey, $5::INTEGER) AS ord 
FROM pg_catalog.pg_index 
WHERE NOT pg_catalog.pg_index.indisprimary AND pg_catalog.pg_index.indrelid IN ($6)) AS idx LEFT OUTER JOIN pg_catalog.pg_attribute ON pg_catalog.pg_attribute.attnum = idx.attnum AND pg_catalog.pg_attribute.attrelid = idx.indrelid 
WHERE idx.indrelid IN ($6)) AS idx_attr GROUP BY idx_attr.indexrelid) AS idx_cols ON pg_catalog.pg_index.indexrelid = idx_cols.indexrelid LEFT OUTER JOIN pg_catalog.pg_constraint ON pg_catalog.pg_index.indrelid = pg_catalog.pg_constraint.conrelid AND pg_catalog.pg_index.indexrelid = pg_catalog.pg_constraint.conindid AND pg_catalog.pg_constraint.contype = ANY (ARRAY[$7::VARCHAR, $8::VARCHAR, $9::VARCHAR]) 
WHERE pg_catalog.pg_index.indrelid IN ($6) AND NOT pg_catalog.pg_index.indisprimary ORDER BY pg_catalog.pg_index.indrelid, pg_catalog.pg_class.relname;
SELECT pg_catalog.pg_class.relname, pg_catalog.pg_constraint.conname, CASE WHEN (pg_catalog.pg_constraint.oid IS NOT NULL) THEN pg_catalog.pg_get_constraintdef(pg_catalog.pg_constraint.oid, $1) END AS anon_1, pg_catalog.pg_description.description 
FROM pg_catalog.pg_class LEFT OUTER JOIN pg_catalog.pg_constraint ON pg_catalog.pg_class.oid = pg_catalog.pg_constraint.conrelid AND pg_catalog.pg_constraint.contype = $2::VARCHAR LEFT OUTER JOIN pg_catalog.pg_description ON pg_catalog.pg_description.objoid = pg_catalog.pg_constraint.oid AND pg_catalog.pg_description.classoid = CAST($3 AS REGCLASS) JOIN pg_catalog.pg_namespace ON pg_catalog.pg_namespace.oid = pg_catalog.pg_class.relnamespace 
WHERE pg_catalog.pg_class.relkind = ANY (ARRAY[$4::VARCHAR, $5::VARCHAR, $6::VARCHAR, $7::VARCHAR, $8::VARCHAR]) AND pg_catalog.pg_table_is_visible(pg_catalog.pg_class.oid) AND pg_catalog.pg_namespace.nspname != $9::VARCHAR AND pg_catalog.pg_class.relname IN ($10::VARCHAR) ORDER BY pg_catalog.pg_class.relname, pg_catalog.pg_constraint.conname;
SELECT pg_catalog.pg_class.relname, pg_catalog.pg_description.description 
FROM pg_catalog.pg_class LEFT OUTER JOIN pg_catalog.pg_description ON pg_catalog.pg_class.oid = pg_catalog.pg_description.objoid AND pg_catalog.pg_description.objsubid = $1::INTEGER AND pg_catalog.pg_description.classoid = CAST($2 AS REGCLASS) JOIN pg_catalog.pg_namespace ON pg_catalog.pg_namespace.oid = pg_catalog.pg_class.relnamespace 
WHERE pg_catalog.pg_class.relkind = ANY (ARRAY[$3::VARCHAR, $4::VARCHAR, $5::VARCHAR, $6::VARCHAR, $7::VARCHAR]) AND pg_catalog.pg_table_is_visible(pg_catalog.pg_class.oid) AND pg_catalog.pg_namespace.nspname != $8::VARCHAR AND pg_catalog.pg_class.relname IN ($9::VARCHAR);
SELECT pg_catalog.pg_class.relname 
FROM pg_catalog.pg_class JOIN pg_catalog.pg_namespace ON pg_catalog.pg_namespace.oid = pg_catalog.pg_class.relnamespace 
WHERE pg_catalog.pg_class.relname IN ($1::VARCHAR) AND pg_catalog.pg_class.relkind = ANY (ARRAY[$2::VARCHAR, $3::VARCHAR, $4::VARCHAR, $5::VARCHAR, $6::VARCHAR]) AND pg_catalog.pg_table_is_visible(pg_catalog.pg_class.oid) AND pg_catalog.pg_namespace.nspname != $7::VARCHAR;
SELECT pg_catalog.pg_attribute.attname AS name, pg_catalog.format_type(pg_catalog.pg_attribute.atttypid, pg_catalog.pg_attribute.atttypmod) AS format_type, CASE WHEN pg_catalog.pg_attribute.atthasdef THEN (SELECT pg_catalog.pg_get_expr(pg_catalog.pg_attrdef.adbin, pg_catalog.pg_attrdef.adrelid) AS pg_get_expr_1 
FROM pg_catalog.pg_attrdef 
WHERE pg_catalog.pg_attribute.atthasdef AND pg_catalog.pg_attrdef.adrelid = pg_catalog.pg_attribute.attrelid AND pg_catalog.pg_attrdef.adnum = pg_catalog.pg_attribute.attnum) ELSE NULL END AS "default", pg_catalog.pg_attribute.attnotnull AS not_null, pg_catalog.pg_class.relname AS table_name, pg_catalog.pg_description.description AS comment, pg_catalog.pg_attribute.attgenerated AS generated, CASE WHEN (pg_catalog.pg_attribute.attidentity != $1::VARCHAR) THEN (SELECT json_build_object($2::VARCHAR, pg_catalog.pg_attribute.attidentity = $3::VARCHAR, $4::VARCHAR, pg_catalog.pg_sequence.seqstart, $5::VARCHAR, pg_catalog.pg_sequence.seqincrement, $6::VARCHAR, pg_catalog.pg_sequence.seqmin, $7::VARCHAR, pg_catalog.pg_sequence.seqmax, $8::VARCHAR, pg_catalog.pg_sequence.seqcache, $9::VARCHAR, pg_catalog.pg_sequence.seqcycle) AS json_build_object_1 
FROM pg_catalog.pg_sequence 
WHERE pg_catalog.pg_attribute.attidentity != $10::VARCHAR AND pg_catalog.pg_sequence.seqrelid = CAST(CAST(pg_catalog.pg_get_serial_sequence(CAST(CAST(pg_catalog.pg_attribute.attrelid AS REGCLASS) AS TEXT), pg_catalog.pg_attribute.attname) AS REGCLASS) AS OID)) ELSE NULL END AS identity_options, CASE WHEN (pg_catalog.pg_attribute.attcollation != $11::INTEGER AND (SELECT pg_catalog.pg_type.typcollation 
FROM pg_catalog.pg_type 
WHERE pg_catalog.pg_type.oid = pg_catalog.pg_attribute.atttypid) != pg_catalog.pg_attribute.attcollation) THEN (SELECT json_build_object($12::VARCHAR, pg_catalog.pg_collation.collname, $13::VARCHAR, CASE WHEN pg_catalog.pg_collation_is_visible(pg_catalog.pg_collation.oid) THEN NULL ELSE pg_catalog.pg_namespace.nspname END) AS json_build_object_9 
FROM pg_catalog.pg_collation JOIN pg_catalog.pg_namespace ON pg_catalog.pg_namespace.oid = pg_catalog.pg_collation.collnamespace 
WHERE pg_catalog.pg_collation.oid = pg_catalog.pg_attribute.attcollation) ELSE NULL END AS collation 
FROM pg_catalog.pg_class LEFT OUTER JOIN pg_catalog.pg_attribute ON pg_catalog.pg_class.oid = pg_catalog.pg_attribute.attrelid AND pg_catalog.pg_attribute.attnum > $14::SMALLINT AND NOT pg_catalog.pg_attribute.attisdropped LEFT OUTER JOIN pg_catalog.pg_description ON pg_catalog.pg_description.objoid = pg_catalog.pg_attribute.attrelid AND pg_catalog.pg_description.objsubid = pg_catalog.pg_attribute.attnum JOIN pg_catalog.pg_namespace ON pg_catalog.pg_namespace.oid = pg_catalog.pg_class.relnamespace 
WHERE pg_catalog.pg_class.relkind = ANY (ARRAY[$15::VARCHAR, $16::VARCHAR, $17::VARCHAR]) AND pg_catalog.pg_table_is_visible(pg_catalog.pg_class.oid) AND pg_catalog.pg_namespace.nspname != $18::VARCHAR AND pg_catalog.pg_class.relname IN ($19::VARCHAR, $20::VARCHAR, $21::VARCHAR, $22::VARCHAR, $23::VARCHAR, $24::VARCHAR, $25::VARCHAR, $26::VARCHAR, $27::VARCHAR) ORDER BY pg_catalog.pg_class.relname, pg_catalog.pg_attribute.attnum;
SELECT pg_catalog.pg_class.oid, pg_catalog.pg_class.relname 
FROM pg_catalog.pg_class JOIN pg_catalog.pg_namespace ON pg_catalog.pg_namespace.oid = pg_catalog.pg_class.relnamespace 
WHERE pg_catalog.pg_class.relkind = ANY (ARRAY[$1::VARCHAR, $2::VARCHAR, $3::VARCHAR]) AND pg_catalog.pg_table_is_visible(pg_catalog.pg_class.oid) AND pg_catalog.pg_namespace.nspname != $4::VARCHAR AND pg_catalog.pg_class.relname IN ($5::VARCHAR, $6::VARCHAR, $7::VARCHAR, $8::VARCHAR, $9::VARCHAR, $10::VARCHAR, $11::VARCHAR, $12::VARCHAR, $13::VARCHAR);
SELECT attr.conrelid, array_agg(CAST(attr.attname AS TEXT) ORDER BY attr.ord) AS cols, attr.conname, min(attr.description) AS description, min(attr.indnkeyatts) AS indnkeyatts, bool_and(attr.indnullsnotdistinct) AS indnullsnotdistinct 
FROM (SELECT con.conrelid AS conrelid, con.conname AS conname, con.description AS description, con.ord AS ord, con.indnkeyatts AS indnkeyatts, con.indnullsnotdistinct AS indnullsnotdistinct, pg_catalog.pg_attribute.attname AS attname 
FROM pg_catalog.pg_attribute JOIN (SELECT pg_catalog.pg_constraint.conrelid AS conrelid, pg_catalog.pg_constraint.conname AS conname, unnest(pg_catalog.pg_index.indkey) AS attnum, generate_subscripts(pg_catalog.pg_index.indkey, $1::INTEGER) AS ord, pg_catalog.pg_index.indnkeyatts AS indnkeyatts, pg_catalog.pg_index.indnullsnotdistinct AS indnullsnotdistinct, pg_catalog.pg_description.description AS description 
FROM pg_catalog.pg_constraint JOIN pg_catalog.pg_index ON pg_catalog.pg_constraint.conindid = pg_catalog.pg_index.indexrelid LEFT OUTER JOIN pg_catalog.pg_description ON pg_catalog.pg_description.objoid = pg_catalog.pg_constraint.oid AND pg_catalog.pg_description.classoid = CAST($2 AS REGCLASS) 
WHERE pg_catalog.pg_constraint.contype = $3::VARCHAR AND pg_catalog.pg_constraint.conrelid IN ($4, $5, $6, $7, $8, $9, $10, $11, $12)) AS con ON pg_catalog.pg_attribute.attnum = con.attnum AND pg_catalog.pg_attribute.attrelid = con.conrelid 
WHERE con.conrelid IN ($4, $5, $6, $7, $8, $9, $10, $11, $12)) AS attr GROUP BY attr.conrelid, attr.conname ORDER BY attr.conrelid, attr.conname;
SELECT pg_catalog.pg_class.relname, pg_catalog.pg_constraint.conname, CASE WHEN (pg_catalog.pg_constraint.oid IS NOT NULL) THEN pg_catalog.pg_get_constraintdef(pg_catalog.pg_constraint.oid, $1) END AS anon_1, nsp_ref.nspname, pg_catalog.pg_description.description 
FROM pg_catalog.pg_class LEFT OUTER JOIN pg_catalog.pg_constraint ON pg_catalog.pg_class.oid = pg_catalog.pg_constraint.conrelid AND pg_catalog.pg_constraint.contype = $2::VARCHAR LEFT OUTER JOIN pg_catalog.pg_class AS cls_ref ON cls_ref.oid = pg_catalog.pg_constraint.confrelid LEFT OUTER JOIN pg_catalog.pg_namespace AS nsp_ref ON cls_ref.relnamespace = nsp_ref.oid LEFT OUTER JOIN pg_catalog.pg_description ON pg_catalog.pg_description.objoid = pg_catalog.pg_constraint.oid AND pg_catalog.pg_description.classoid = CAST($3 AS REGCLASS) JOIN pg_catalog.pg_namespace ON pg_catalog.pg_namespace.oid = pg_catalog.pg_class.relnamespace 
WHERE pg_catalog.pg_class.relkind = ANY (ARRAY[$4::VARCHAR, $5::VARCHAR, $6::VARCHAR]) AND pg_catalog.pg_table_is_visible(pg_catalog.pg_class.oid) AND pg_catalog.pg_namespace.nspname != $7::VARCHAR AND pg_catalog.pg_class.relname IN ($8::VARCHAR, $9::VARCHAR, $10::VARCHAR, $11::VARCHAR, $12::VARCHAR, $13::VARCHAR, $14::VARCHAR, $15::VARCHAR, $16::VARCHAR) ORDER BY pg_catalog.pg_class.relname, pg_catalog.pg_constraint.conname;
SELECT pg_catalog.pg_index.indrelid, pg_catalog.pg_class.relname, pg_catalog.pg_index.indisunique, pg_catalog.pg_index.indisvalid, pg_catalog.pg_constraint.conrelid IS NOT NULL AS has_constraint, pg_catalog.pg_index.indoption, pg_catalog.pg_class.reloptions, pg_catalog.pg_class.relam, CASE WHEN (pg_catalog.pg_index.indpred IS NOT NULL) THEN pg_catalog.pg_get_expr(pg_catalog.pg_index.indpred, pg_catalog.pg_index.indrelid) END AS filter_definition, pg_catalog.pg_index.indnkeyatts, pg_catalog.pg_index.indnullsnotdistinct, idx_cols.elements, idx_cols.elements_is_expr, idx_cols.elements_opclass 
FROM pg_catalog.pg_index JOIN pg_catalog.pg_class ON pg_catalog.pg_index.indexrelid = pg_catalog.pg_class.oid LEFT OUTER JOIN (SELECT idx_attr.indexrelid AS indexrelid, min(idx_attr.indrelid) AS min_1, array_agg(idx_attr.element ORDER BY idx_attr.ord) AS elements, array_agg(idx_attr.is_expr ORDER BY idx_attr.ord) AS elements_is_expr, array_agg(idx_attr.att_opclass ORDER BY idx_attr.ord) AS elements_opclass 
FROM (SELECT idx.indexrelid AS indexrelid, idx.indrelid AS indrelid, idx.ord AS ord, CASE WHEN (idx.attnum = $1::INTEGER) THEN pg_catalog.pg_get_indexdef(idx.indexrelid, idx.ord + $2::INTEGER, $3) ELSE CAST(pg_catalog.pg_attribute.attname AS TEXT) END AS element, idx.attnum = $4::INTEGER AS is_expr, CAST(idx.att_opclass AS BIGINT) AS att_opclass 
FROM (SELECT pg_catalog.pg_index.indexrelid AS indexrelid, pg_catalog.pg_index.indrelid AS indrelid, unnest(pg_catalog.pg_index.indkey) AS attnum, unnest(pg_catalog.pg_index.indclass) AS att_opclass, generate_subscripts(pg_catalog.pg_index.indkey, $5::INTEGER) AS ord 
FROM pg_catalog.pg_index 
WHERE NOT pg_catalog.pg_index.indisprimary AND pg_catalog.pg_index.indrelid IN ($6, $7, $8, $9, $10, $11, $12, $13, $14)) AS idx LEFT OUTER JOIN pg_catalog.pg_attribute ON pg_catalog.pg_attribute.attnum = idx.attnum AND pg_catalog.pg_attribute.attrelid = idx.indrelid 
WHERE idx.indrelid IN ($6, $7, $8, $9, $10, $11, $12, $13, $14)) AS idx_attr GROUP BY idx_attr.indexrelid) AS idx_cols ON pg_catalog.pg_index.indexrelid = idx_cols.indexrelid LEFT OUTER JOIN pg_catalog.pg_constraint ON pg_catalog.pg_index.indrelid = pg_catalog.pg_constraint.conrelid AND pg_catalog.pg_index.indexrelid = pg_catalog.pg_constraint.conindid AND pg_catalog.pg_constraint.contype = ANY (ARRAY[$15::VARCHAR, $16::VARCHAR, $17::VARCHAR]) 
WHERE pg_catalog.pg_index.indrelid IN ($6, $7, $8, $9, $10, $11, $12, $13, $14) AND NOT pg_catalog.pg_index.indisprimary ORDER BY pg_catalog.pg_index.indrelid, pg_catalog.pg_class.relname;
SELECT pg_catalog.pg_class.relname, pg_catalog.pg_description.description 
FROM pg_catalog.pg_class LEFT OUTER JOIN pg_catalog.pg_description ON pg_catalog.pg_class.oid = pg_catalog.pg_description.objoid AND pg_catalog.pg_description.objsubid = $1::INTEGER AND pg_catalog.pg_description.classoid = CAST($2 AS REGCLASS) JOIN pg_catalog.pg_namespace ON pg_catalog.pg_namespace.oid = pg_catalog.pg_class.relnamespace 
WHERE pg_catalog.pg_class.relkind = ANY (ARRAY[$3::VARCHAR, $4::VARCHAR, $5::VARCHAR]) AND pg_catalog.pg_table_is_visible(pg_catalog.pg_class.oid) AND pg_catalog.pg_namespace.nspname != $6::VARCHAR AND pg_catalog.pg_class.relname IN ($7::VARCHAR, $8::VARCHAR, $9::VARCHAR, $10::VARCHAR, $11::VARCHAR, $12::VARCHAR, $13::VARCHAR, $14::VARCHAR, $15::VARCHAR);
SELECT pg_catalog.pg_class.relname, pg_catalog.pg_constraint.conname, CASE WHEN (pg_catalog.pg_constraint.oid IS NOT NULL) THEN pg_catalog.pg_get_constraintdef(pg_catalog.pg_constraint.oid, $1) END AS anon_1, pg_catalog.pg_description.description 
FROM pg_catalog.pg_class LEFT OUTER JOIN pg_catalog.pg_constraint ON pg_catalog.pg_class.oid = pg_catalog.pg_constraint.conrelid AND pg_catalog.pg_constraint.contype = $2::VARCHAR LEFT OUTER JOIN pg_catalog.pg_description ON pg_catalog.pg_description.objoid = pg_catalog.pg_constraint.oid AND pg_catalog.pg_description.classoid = CAST($3 AS REGCLASS) JOIN pg_catalog.pg_namespace ON pg_catalog.pg_namespace.oid = pg_catalog.pg_class.relnamespace 
WHERE pg_catalog.pg_class.relkind = ANY (ARRAY[$4::VARCHAR, $5::VARCHAR, $6::VARCHAR]) AND pg_catalog.pg_table_is_visible(pg_catalog.pg_class.oid) AND pg_catalog.pg_namespace.nspname != $7::VARCHAR AND pg_catalog.pg_class.relname IN ($8::VARCHAR, $9::VARCHAR, $10::VARCHAR, $11::VARCHAR, $12::VARCHAR, $13::VARCHAR, $14::VARCHAR, $15::VARCHAR, $16::VARCHAR) ORDER BY pg_catalog.pg_class.relname, pg_catalog.pg_constraint.conname;
SELECT pg_catalog.pg_class.oid, pg_catalog.pg_class.relname, pg_catalog.pg_class.reloptions, NULL AS relhasoids, CASE WHEN (pg_catalog.pg_am.amname IS NOT NULL AND pg_catalog.pg_am.amname != current_setting($1::VARCHAR)) THEN pg_catalog.pg_am.amname ELSE NULL END AS access_method_name, pg_catalog.pg_tablespace.spcname AS tablespace_name, inherits.parent_table_names 
FROM pg_catalog.pg_class LEFT OUTER JOIN pg_catalog.pg_am ON pg_catalog.pg_class.relam = pg_catalog.pg_am.oid LEFT OUTER JOIN (SELECT pg_catalog.pg_inherits.inhrelid AS inhrelid, array_agg(pg_catalog.pg_class.relname ORDER BY pg_catalog.pg_inherits.inhseqno) AS parent_table_names 
FROM pg_catalog.pg_inherits JOIN pg_catalog.pg_class ON pg_catalog.pg_inherits.inhparent = pg_catalog.pg_class.oid GROUP BY pg_catalog.pg_inherits.inhrelid) AS inherits ON pg_catalog.pg_class.oid = inherits.inhrelid LEFT OUTER JOIN pg_catalog.pg_tablespace ON pg_catalog.pg_tablespace.oid = pg_catalog.pg_class.reltablespace JOIN pg_catalog.pg_namespace ON pg_catalog.pg_namespace.oid = pg_catalog.pg_class.relnamespace 
WHERE pg_catalog.pg_class.relkind = ANY (ARRAY[$2::VARCHAR, $3::VARCHAR, $4::VARCHAR]) AND pg_catalog.pg_table_is_visible(pg_catalog.pg_class.oid) AND pg_catalog.pg_namespace.nspname != $5::VARCHAR AND pg_catalog.pg_class.relname IN ($6::VARCHAR, $7::VARCHAR, $8::VARCHAR, $9::VARCHAR, $10::VARCHAR, $11::VARCHAR, $12::VARCHAR, $13::VARCHAR, $14::VARCHAR);
SELECT pg_catalog.pg_class.relname 
FROM pg_catalog.pg_class JOIN pg_catalog.pg_namespace ON pg_catalog.pg_namespace.oid = pg_catalog.pg_class.relnamespace 
WHERE pg_catalog.pg_class.relkind = ANY (ARRAY[$1::VARCHAR]) AND pg_catalog.pg_table_is_visible(pg_catalog.pg_class.oid) AND pg_catalog.pg_namespace.nspname != $2::VARCHAR;
SELECT pg_catalog.pg_type.typname AS name, pg_catalog.pg_type_is_visible(pg_catalog.pg_type.oid) AS visible, pg_catalog.pg_namespace.nspname AS schema, lbl_agg.labels AS labels 
FROM pg_catalog.pg_type JOIN pg_catalog.pg_namespace ON pg_catalog.pg_namespace.oid = pg_catalog.pg_type.typnamespace LEFT OUTER JOIN (SELECT pg_catalog.pg_enum.enumtypid AS enumtypid, array_agg(CAST(pg_catalog.pg_enum.enumlabel AS TEXT) ORDER BY pg_catalog.pg_enum.enumsortorder) AS labels 
FROM pg_catalog.pg_enum GROUP BY pg_catalog.pg_enum.enumtypid) AS lbl_agg ON pg_catalog.pg_type.oid = lbl_agg.enumtypid 
WHERE pg_catalog.pg_type.typtype = $1::VARCHAR AND pg_catalog.pg_type_is_visible(pg_catalog.pg_type.oid) AND pg_catalog.pg_namespace.nspname != $2::VARCHAR ORDER BY pg_catalog.pg_namespace.nspname, pg_catalog.pg_type.typname;
