SET client_min_messages TO 'warning';
SET standard_conforming_strings = on;
SET SESSION timezone TO 'UTC';
SET intervalstyle = iso_8601;
SHOW max_identifier_length;
SHOW search_path;
SELECT t.oid, t.typname FROM pg_type as t WHERE t.typname IN ('int2', 'int4', 'int8', 'oid', 'float4', 'float8', 'numeric', 'bool', 'timestamp', 'timestamptz');
SELECT t.oid, t.typname, t.typelem, t.typdelim, t.typinput, r.rngsubtype, t.typtype, t.typbasetype
FROM pg_type as t
LEFT JOIN pg_range as r ON oid = rngtypid
WHERE
  t.typname IN ('int2', 'int4', 'int8', 'oid', 'float4', 'float8', 'text', 'varchar', 'char', 'name', 'bpchar', 'bool', 'bit', 'varbit', 'date', 'money', 'bytea', 'point', 'hstore', 'json', 'jsonb', 'cidr', 'inet', 'uuid', 'xml', 'tsvector', 'macaddr', 'citext', 'ltree', 'line', 'lseg', 'box', 'path', 'polygon', 'circle', 'time', 'timestamp', 'timestamptz', 'numeric', 'interval');
SELECT t.oid, t.typname, t.typelem, t.typdelim, t.typinput, r.rngsubtype, t.typtype, t.typbasetype
FROM pg_type as t
LEFT JOIN pg_range as r ON oid = rngtypid
WHERE
  t.typtype IN ('r', 'e', 'd');
SELECT t.oid, t.typname, t.typelem, t.typdelim, t.typinput, r.rngsubtype, t.typtype, t.typbasetype
FROM pg_type as t
LEFT JOIN pg_range as r ON oid = rngtypid
WHERE
  t.typelem IN (16, 17, 18, 19, 20, 21, 23, 25, 26, 114, 142, 600, 601, 602, 603, 604, 628, 700, 701, 718, 790, 829, 869, 650, 1042, 1043, 1082, 1083, 1114, 1184, 1186, 1266, 1560, 1562, 1700, 2950, 3614, 3802);
SELECT a.attname, format_type(a.atttypid, a.atttypmod),
       pg_get_expr(d.adbin, d.adrelid), a.attnotnull, a.atttypid, a.atttypmod,
       c.collname, col_description(a.attrelid, a.attnum) AS comment,
       attidentity AS identity,
       attgenerated as attgenerated
  FROM pg_attribute a
  LEFT JOIN pg_attrdef d ON a.attrelid = d.adrelid AND a.attnum = d.adnum
  LEFT JOIN pg_type t ON a.atttypid = t.oid
  LEFT JOIN pg_collation c ON a.attcollation = c.oid AND a.attcollation <> t.typcollation
 WHERE a.attrelid = '"orders"'::regclass
   AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attnum;
SELECT a.attname
  FROM (
         SELECT indrelid, indkey, generate_subscripts(indkey, 1) idx
           FROM pg_index
          WHERE indrelid = '"orders"'::regclass
            AND indisprimary
       ) i
  JOIN pg_attribute a
    ON a.attrelid = i.indrelid
   AND a.attnum = i.indkey[i.idx]
 ORDER BY i.idx;
SELECT c.relname FROM pg_class c LEFT JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = ANY (current_schemas(false)) AND c.relkind IN ('r','p');
SELECT c.relname FROM pg_class c LEFT JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = ANY (current_schemas(false)) AND c.relname = 'orders' AND c.relkind IN ('r','v','m','p','f');
SELECT distinct i.relname, d.indisunique, d.indkey, pg_get_indexdef(d.indexrelid),
                pg_catalog.obj_description(i.oid, 'pg_class') AS comment, d.indisvalid,
                ARRAY(
                  SELECT pg_get_indexdef(d.indexrelid, k + 1, true)
                  FROM generate_subscripts(d.indkey, 1) AS k
                  ORDER BY k
                ) AS columns
FROM pg_class t
INNER JOIN pg_index d ON t.oid = d.indrelid
INNER JOIN pg_class i ON d.indexrelid = i.oid
LEFT JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE i.relkind IN ('i', 'I')
  AND d.indisprimary = 'f'
  AND t.relname = 'orders'
  AND n.nspname = ANY (current_schemas(false))
ORDER BY i.relname;
SELECT t2.oid::regclass::text AS to_table, c.conname AS name, c.confupdtype AS on_update, c.confdeltype AS on_delete, c.convalidated AS valid, c.condeferrable AS deferrable, c.condeferred AS deferred, c.conrelid, c.confrelid,
  (SELECT array_agg(a.attname ORDER BY idx) FROM (SELECT idx, c.conkey[idx] AS conkey_elem FROM generate_subscripts(c.conkey, 1) AS idx) indexed_conkeys JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = indexed_conkeys.conkey_elem) AS conkey_names,
  (SELECT array_agg(a.attname ORDER BY idx) FROM (SELECT idx, c.confkey[idx] AS confkey_elem FROM generate_subscripts(c.confkey, 1) AS idx) indexed_confkeys JOIN pg_attribute a ON a.attrelid = t2.oid AND a.attnum = indexed_confkeys.confkey_elem) AS confkey_names
FROM pg_constraint c
JOIN pg_class t ON c.conrelid = t.oid
JOIN pg_class t2 ON c.confrelid = t2.oid
JOIN pg_namespace n ON c.connamespace = n.oid
WHERE c.contype = 'f' AND t.relname = 'orders' AND n.nspname = ANY (current_schemas(false))
ORDER BY c.conname;
SELECT extname FROM pg_extension;
SELECT type.typname AS name, type.oid AS oid, n.nspname AS schema, array_agg(enum.enumlabel ORDER BY enum.enumsortorder) AS value
FROM pg_enum AS enum
JOIN pg_type AS type ON (type.oid = enum.enumtypid)
JOIN pg_namespace n ON type.typnamespace = n.oid
WHERE n.nspname = ANY (current_schemas(false))
GROUP BY type.OID, n.nspname, type.typname;
SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = current_database();
SELECT current_database();
SELECT obj_description(c.oid, 'pg_class') FROM pg_catalog.pg_class c LEFT JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relname = 'orders' AND c.relkind IN ('r','p') AND n.nspname = ANY (current_schemas(false));
SELECT "customers".* FROM "customers" ORDER BY "customers"."id" ASC LIMIT $1;
SELECT "customers".* FROM "customers" WHERE "customers"."id" = $1 LIMIT $2;
SELECT "customers".* FROM "customers" WHERE "customers"."email" = $1 AND "customers"."vip" = $2 ORDER BY "customers"."created_at" DESC LIMIT $3 OFFSET $4;
SELECT 1 AS one FROM "customers" WHERE "customers"."email" = $1 LIMIT $2;
SELECT 1 AS one FROM "customers" WHERE LOWER("customers"."email") = LOWER($1) AND "customers"."id" != $2 LIMIT $3;
SELECT COUNT(*) FROM "orders" WHERE "orders"."customer_id" = $1;
SELECT COUNT(*) FROM (SELECT 1 AS one FROM "orders" LIMIT $1 OFFSET $2) subquery_for_count;
SELECT COUNT(DISTINCT "orders"."customer_id") FROM "orders";
SELECT SUM("orders"."total") AS sum_total, "orders"."status" AS orders_status FROM "orders" GROUP BY "orders"."status";
SELECT COUNT(*) AS "count_all", DATE_TRUNC('day', "orders"."placed_at"::timestamptz AT TIME ZONE 'Etc/UTC')::date AS "date_trunc_day" FROM "orders" GROUP BY DATE_TRUNC('day', "orders"."placed_at"::timestamptz AT TIME ZONE 'Etc/UTC')::date;
SELECT "orders".* FROM "orders" WHERE "orders"."customer_id" IN ($1, $2, $3);
SELECT "orders".* FROM "orders" INNER JOIN "customers" ON "customers"."id" = "orders"."customer_id" WHERE "customers"."city" = $1;
SELECT DISTINCT "customers".* FROM "customers" LEFT OUTER JOIN "orders" ON "orders"."customer_id" = "customers"."id" WHERE "orders"."id" IS NULL;
SELECT "orders"."id" AS t0_r0, "orders"."customer_id" AS t0_r1, "orders"."number" AS t0_r2, "customers"."id" AS t1_r0, "customers"."name" AS t1_r1 FROM "orders" LEFT OUTER JOIN "customers" ON "customers"."id" = "orders"."customer_id" WHERE "customers"."name" LIKE $1;
SELECT "categories".* FROM "categories" INNER JOIN "product_categories" ON "categories"."id" = "product_categories"."category_id" WHERE "product_categories"."product_id" = $1;
SELECT "comments".* FROM "comments" WHERE "comments"."deleted_at" IS NULL AND "comments"."commentable_id" = $1 AND "comments"."commentable_type" = $2;
SELECT "orders"."status" FROM "orders" GROUP BY "orders"."status" HAVING (COUNT(*) > 1);
SELECT "customers"."id" FROM "customers" WHERE (preferences @> '{"news": true}');
SELECT "customers".* FROM "customers" WHERE (labels && ARRAY['a','b']::text[]);
SELECT "customers".* FROM "customers" WHERE (preferences ->> 'lang' = 'en') ORDER BY RANDOM() LIMIT 1;
SELECT "orders".* FROM "orders" WHERE "orders"."placed_at" BETWEEN $1 AND $2 ORDER BY "orders"."id" ASC LIMIT $3;
SELECT "orders".* FROM "orders" WHERE "orders"."id" > $1 ORDER BY "orders"."id" ASC LIMIT $2;
SELECT "orders".* FROM "orders" WHERE "orders"."id" = $1 LIMIT $2 FOR UPDATE;
SELECT "orders".* FROM "orders" WHERE "orders"."status" = $1 ORDER BY "orders"."id" ASC LIMIT $2 FOR UPDATE SKIP LOCKED;
INSERT INTO "customers" ("name", "email", "created_at", "updated_at") VALUES ($1, $2, $3, $4) RETURNING "id";
INSERT INTO "events" ("name","properties") VALUES ('a', '{}'), ('b', '{"x": 1}') ON CONFLICT DO NOTHING RETURNING "id";
INSERT INTO "product_categories" ("product_id", "category_id") VALUES ($1, $2);
UPDATE "orders" SET "status" = $1, "lock_version" = $2 WHERE "orders"."id" = $3 AND "orders"."lock_version" = $4;
UPDATE "customers" SET "updated_at" = $1 WHERE "customers"."id" = $2;
UPDATE "products" SET "stock" = COALESCE("products"."stock", 0) - $1 WHERE "products"."id" = $2;
UPDATE "orders" SET "note" = 'old' WHERE "orders"."id" IN (SELECT "orders"."id" FROM "orders" WHERE "orders"."status" = 'new' ORDER BY "orders"."id" ASC LIMIT 10);
UPDATE "comments" SET "deleted_at" = CURRENT_TIMESTAMP WHERE "comments"."id" = $1;
DELETE FROM "order_items" WHERE "order_items"."order_id" = $1;
DELETE FROM "order_items" WHERE "order_items"."id" IN ($1, $2);
DELETE FROM "events" WHERE "events"."id" IN (SELECT "events"."id" FROM "events" WHERE (happened_at < now() - interval '30 days') ORDER BY "events"."id" ASC LIMIT 1000);
SELECT pg_try_advisory_lock(4271927341);
SELECT pg_advisory_unlock(4271927341);
SELECT pg_try_advisory_xact_lock(1);
EXPLAIN SELECT "customers".* FROM "customers" WHERE "customers"."city" = 'Ghent';
WITH RECURSIVE "tree" AS ((SELECT "categories".* FROM "categories" WHERE "categories"."parent_id" IS NULL) UNION ALL (SELECT "categories".* FROM "categories" INNER JOIN "tree" ON "tree"."id" = "categories"."parent_id")) SELECT "tree".* FROM "tree";
SELECT "customers".*, (SELECT COUNT(*) FROM "orders" WHERE "orders"."customer_id" = "customers"."id") AS orders_count FROM "customers" ORDER BY orders_count DESC LIMIT 5;
SAVEPOINT active_record_1;
SELECT "events".* FROM "events" WHERE "events"."name" = 'a' AND (properties->'x')::int > 0 /*application:Shop,controller:events,action:index*/;
