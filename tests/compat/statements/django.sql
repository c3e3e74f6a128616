SELECT set_config('TimeZone', 'UTC', false);
SELECT oid, typarray FROM pg_type WHERE typname = 'hstore';
SELECT oid, typarray FROM pg_type WHERE typname = 'citext';
INSERT INTO "categories" ("parent_id", "name", "slug", "position") VALUES (NULL, 'D', 'd1', 0) RETURNING "categories"."id";
INSERT INTO "categories" ("parent_id", "name", "slug", "position") VALUES (1, 'D2', 'd2', 0) RETURNING "categories"."id";
INSERT INTO "products" ("sku", "title", "description", "price", "stock", "attributes", "published_at", "weight") VALUES ('d1', 'D', NULL, 3, 0, '{}'::jsonb, NULL, NULL) RETURNING "products"."id";
INSERT INTO "customers" ("name", "email", "phone", "city", "birth_date", "vip", "balance", "preferences", "labels", "created_at", "updated_at", "version") VALUES ('D', 'd@x.example', NULL, 'Oslo', NULL, false, 0, '{}'::jsonb, '{}'::text[], '2026-11-28 00:45:59.616305+00:00'::timestamptz, '2026-11-28 00:45:59.616339+00:00'::timestamptz, 1) RETURNING "customers"."id";
INSERT INTO "orders" ("customer_id", "number", "status", "total", "currency", "note", "placed_at", "shipped_at", "lock_version") VALUES (1, 'd1', 'new', 0, 'EUR', NULL, '2026-11-28 00:45:59.642002+00:00'::timestamptz, NULL, 0) RETURNING "orders"."id";
INSERT INTO "order_items" ("order_id", "product_id", "quantity", "unit_price", "discount") VALUES (1, 1, 1, 1, NULL) RETURNING "order_items"."id";
BEGIN;
INSERT INTO "events" ("customer_id", "name", "properties", "happened_at", "address") SELECT * FROM UNNEST(('{NULL,NULL}')::bigint[], ('{a,b}')::varchar[], ('{NULL,NULL}')::jsonb[], ('{"2026-11-28 00:45:59.660798+00:00","2026-11-28 00:45:59.660842+00:00"}'::timestamptz[])::timestamp with time zone[], ('{NULL,NULL}')::inet[]) RETURNING "events"."id";
COMMIT;
INSERT INTO "customers" ("name", "email", "phone", "city", "birth_date", "vip", "balance", "preferences", "labels", "created_at", "updated_at", "version") VALUES ('D9', 'd9@x.example', NULL, NULL, NULL, false, 0, '{}'::jsonb, '{}'::text[], '2026-11-28 00:45:59.687413+00:00'::timestamptz, '2026-11-28 00:45:59.687434+00:00'::timestamptz, 1) ON CONFLICT DO NOTHING;
SELECT "customers"."id", "customers"."name", "customers"."email", "customers"."phone", "customers"."city", "customers"."birth_date", "customers"."vip", "customers"."balance", "customers"."preferences", "customers"."labels", "customers"."created_at", "customers"."updated_at", "customers"."version" FROM "customers";
SELECT "customers"."id", "customers"."name", "customers"."email", "customers"."phone", "customers"."city", "customers"."birth_date", "customers"."vip", "customers"."balance", "customers"."preferences", "customers"."labels", "customers"."created_at", "customers"."updated_at", "customers"."version" FROM "customers" WHERE ("customers"."city" IN ('Oslo', 'Bern') AND NOT ("customers"."vip"));
SELECT 1 AS "a" FROM "customers" WHERE "customers"."id" = 1 LIMIT 1;
SELECT COUNT(*) AS "__count" FROM "customers";
SELECT "customers"."id", "customers"."name", "customers"."email", "customers"."phone", "customers"."city", "customers"."birth_date", "customers"."vip", "customers"."balance", "customers"."preferences", "customers"."labels", "customers"."created_at", "customers"."updated_at", "customers"."version" FROM "customers" WHERE "customers"."id" = 1 LIMIT 21;
SELECT "customers"."id", "customers"."name", "customers"."email", "customers"."phone", "customers"."city", "customers"."birth_date", "customers"."vip", "customers"."balance", "customers"."preferences", "customers"."labels", "customers"."created_at", "customers"."updated_at", "customers"."version" FROM "customers" WHERE UPPER("customers"."name"::text) LIKE UPPER('%d%') ORDER BY "customers"."id" ASC LIMIT 1;
SELECT "customers"."id", "customers"."name", "customers"."email", "customers"."phone", "customers"."city", "customers"."birth_date", "customers"."vip", "customers"."balance", "customers"."preferences", "customers"."labels", "customers"."created_at", "customers"."updated_at", "customers"."version" FROM "customers" ORDER BY "customers"."created_at" ASC LIMIT 1;
SELECT "customers"."city" AS "city", COUNT("customers"."id") AS "n" FROM "customers" GROUP BY 1 ORDER BY 2 DESC;
SELECT "customers"."id" AS "id" FROM "customers" LIMIT 2;
SELECT DISTINCT "customers"."name" AS "name" FROM "customers";
SELECT DISTINCT ON ("customers"."city") "customers"."id", "customers"."name", "customers"."email", "customers"."phone", "customers"."city", "customers"."birth_date", "customers"."vip", "customers"."balance", "customers"."preferences", "customers"."labels", "customers"."created_at", "customers"."updated_at", "customers"."version" FROM "customers" ORDER BY "customers"."city" ASC, "customers"."id" DESC;
SELECT "orders"."id", "orders"."customer_id", "orders"."number", "orders"."status", "orders"."total", "orders"."currency", "orders"."note", "orders"."placed_at", "orders"."shipped_at", "orders"."lock_version", "customers"."id", "customers"."name", "customers"."email", "customers"."phone", "customers"."city", "customers"."birth_date", "customers"."vip", "customers"."balance", "customers"."preferences", "customers"."labels", "customers"."created_at", "customers"."updated_at", "customers"."version" FROM "orders" INNER JOIN "customers" ON ("orders"."customer_id" = "customers"."id") ORDER BY "orders"."placed_at" DESC;
SELECT "orders"."id", "orders"."customer_id", "orders"."number", "orders"."status", "orders"."total", "orders"."currency", "orders"."note", "orders"."placed_at", "orders"."shipped_at", "orders"."lock_version" FROM "orders" ORDER BY "orders"."placed_at" DESC;
SELECT "order_items"."id", "order_items"."order_id", "order_items"."product_id", "order_items"."quantity", "order_items"."unit_price", "order_items"."discount" FROM "order_items" WHERE "order_items"."order_id" IN (1);
SELECT "products"."id", "products"."sku", "products"."title", "products"."description", "products"."price", "products"."stock", "products"."attributes", "products"."published_at", "products"."weight" FROM "products" WHERE ("products"."id") IN ((1));
SELECT "orders"."id", "orders"."customer_id", "orders"."number", "orders"."status", "orders"."total", "orders"."currency", "orders"."note", "orders"."placed_at", "orders"."shipped_at", "orders"."lock_version" FROM "orders" INNER JOIN "customers" ON ("orders"."customer_id" = "customers"."id") INNER JOIN "order_items" ON ("orders"."id" = "order_items"."order_id") INNER JOIN "products" ON ("order_items"."product_id" = "products"."id") WHERE ("customers"."city" = 'Oslo' AND "products"."sku" = 'd1') ORDER BY "orders"."placed_at" DESC;
SELECT "orders"."id", "orders"."customer_id", "orders"."number", "orders"."status", "orders"."total", "orders"."currency", "orders"."note", "orders"."placed_at", "orders"."shipped_at", "orders"."lock_version" FROM "orders" WHERE (("orders"."total" > 1 OR "orders"."note" IS NULL) AND NOT (EXISTS(SELECT 1 AS "a" FROM "order_items" U1 WHERE (U1."quantity" > 5 AND U1."order_id" = ("orders"."id")) LIMIT 1))) ORDER BY "orders"."placed_at" DESC;
SELECT "customers"."id", "customers"."name", "customers"."email", "customers"."phone", "customers"."city", "customers"."birth_date", "customers"."vip", "customers"."balance", "customers"."preferences", "customers"."labels", "customers"."created_at", "customers"."updated_at", "customers"."version", COUNT("orders"."id") AS "n", SUM("orders"."total") AS "t" FROM "customers" LEFT OUTER JOIN "orders" ON ("customers"."id" = "orders"."customer_id") GROUP BY "customers"."id", "customers"."name", "customers"."email", "customers"."phone", "customers"."city", "customers"."birth_date", "customers"."vip", "customers"."balance", "customers"."preferences", "customers"."labels", "customers"."created_at", "customers"."updated_at", "customers"."version" HAVING COUNT("orders"."id") >= 1;
SELECT "customers"."name" AS "name", COUNT(DISTINCT "orders"."id") AS "n", MAX("orders"."placed_at") AS "last" FROM "customers" LEFT OUTER JOIN "orders" ON ("customers"."id" = "orders"."customer_id") GROUP BY "customers"."id", 1, "customers"."email", "customers"."phone", "customers"."city", "customers"."birth_date", "customers"."vip", "customers"."balance", "customers"."preferences", "customers"."labels", "customers"."created_at", "customers"."updated_at", "customers"."version";
SELECT COUNT(*) AS "n", STDDEV_POP("orders"."total") AS "s", VAR_POP("orders"."total") AS "v", SUM("orders"."total") AS "total__sum", AVG("orders"."total") AS "total__avg", MIN("orders"."placed_at") AS "placed_at__min" FROM "orders";
SELECT DATE_TRUNC('month', "orders"."placed_at" AT TIME ZONE 'America/Chicago') AS "m", SUM("orders"."total") AS "t" FROM "orders" GROUP BY 1 ORDER BY 1 ASC;
SELECT "orders"."id", "orders"."customer_id", "orders"."number", "orders"."status", "orders"."total", "orders"."currency", "orders"."note", "orders"."placed_at", "orders"."shipped_at", "orders"."lock_version", EXTRACT(YEAR FROM "orders"."placed_at" AT TIME ZONE 'America/Chicago') AS "y", EXTRACT(DOW FROM "orders"."placed_at" AT TIME ZONE 'America/Chicago') + 1 AS "w" FROM "orders" ORDER BY "orders"."placed_at" DESC;
SELECT "orders"."id", "orders"."customer_id", "orders"."number", "orders"."status", "orders"."total", "orders"."currency", "orders"."note", "orders"."placed_at", "orders"."shipped_at", "orders"."lock_version" FROM "orders" WHERE "orders"."placed_at" BETWEEN '2026-01-01 00:00:00-06:00'::timestamptz AND '2026-12-31 23:59:59.999999-06:00'::timestamptz ORDER BY "orders"."placed_at" DESC;
SELECT "orders"."id", "orders"."customer_id", "orders"."number", "orders"."status", "orders"."total", "orders"."currency", "orders"."note", "orders"."placed_at", "orders"."shipped_at", "orders"."lock_version" FROM "orders" WHERE ("orders"."placed_at" AT TIME ZONE 'America/Chicago')::date = '2026-01-01'::date ORDER BY "orders"."placed_at" DESC;
SELECT "orders"."id", "orders"."customer_id", "orders"."number", "orders"."status", "orders"."total", "orders"."currency", "orders"."note", "orders"."placed_at", "orders"."shipped_at", "orders"."lock_version" FROM "orders" WHERE "orders"."placed_at" BETWEEN '2026-01-01 00:00:00+00:00'::timestamptz AND '2027-01-01 00:00:00+00:00'::timestamptz ORDER BY "orders"."placed_at" DESC;
SELECT "orders"."id", "orders"."customer_id", "orders"."number", "orders"."status", "orders"."total", "orders"."currency", "orders"."note", "orders"."placed_at", "orders"."shipped_at", "orders"."lock_version" FROM "orders" WHERE EXTRACT(HOUR FROM "orders"."placed_at" AT TIME ZONE 'America/Chicago') = 3 ORDER BY "orders"."placed_at" DESC;
SELECT DISTINCT DATE_TRUNC('month', "orders"."placed_at" AT TIME ZONE 'America/Chicago') AS "datefield" FROM "orders" WHERE "orders"."placed_at" IS NOT NULL ORDER BY 1 ASC;
SELECT DISTINCT DATE_TRUNC('day', "orders"."placed_at" AT TIME ZONE 'America/Chicago') AS "datetimefield" FROM "orders" WHERE "orders"."placed_at" IS NOT NULL ORDER BY 1 ASC;
SELECT "customers"."id", "customers"."name", "customers"."email", "customers"."phone", "customers"."city", "customers"."birth_date", "customers"."vip", "customers"."balance", "customers"."preferences", "customers"."labels", "customers"."created_at", "customers"."updated_at", "customers"."version", (SELECT U0."number" AS "number" FROM "orders" U0 WHERE U0."customer_id" = ("customers"."id") ORDER BY U0."placed_at" DESC LIMIT 1) AS "last" FROM "customers";
SELECT "customers"."id", "customers"."name", "customers"."email", "customers"."phone", "customers"."city", "customers"."birth_date", "customers"."vip", "customers"."balance", "customers"."preferences", "customers"."labels", "customers"."created_at", "customers"."updated_at", "customers"."version" FROM "customers" WHERE EXISTS(SELECT 1 AS "a" FROM "orders" U0 WHERE (U0."customer_id" = ("customers"."id") AND U0."status" = 'new') LIMIT 1);
SELECT "customers"."id", "customers"."name", "customers"."email", "customers"."phone", "customers"."city", "customers"."birth_date", "customers"."vip", "customers"."balance", "customers"."preferences", "customers"."labels", "customers"."created_at", "customers"."updated_at", "customers"."version", EXISTS(SELECT 1 AS "a" FROM "orders" U0 WHERE U0."customer_id" = ("customers"."id") LIMIT 1) AS "h" FROM "customers" WHERE NOT EXISTS(SELECT 1 AS "a" FROM "orders" U0 WHERE U0."customer_id" = ("customers"."id") LIMIT 1);
SELECT "orders"."id", "orders"."customer_id", "orders"."number", "orders"."status", "orders"."total", "orders"."currency", "orders"."note", "orders"."placed_at", "orders"."shipped_at", "orders"."lock_version", ROW_NUMBER() OVER (PARTITION BY "orders"."customer_id" ORDER BY "orders"."total" DESC) AS "r" FROM "orders" ORDER BY "orders"."placed_at" DESC;
SELECT * FROM ( SELECT "orders"."id" AS "col1", "orders"."customer_id" AS "col2", "orders"."number" AS "col3", "orders"."status" AS "col4", "orders"."total" AS "col5", "orders"."currency" AS "col6", "orders"."note" AS "col7", "orders"."placed_at" AS "col8", "orders"."shipped_at" AS "col9", "orders"."lock_version" AS "col10", RANK() OVER (ORDER BY "orders"."total") AS "r" FROM "orders" ORDER BY "orders"."placed_at" DESC ) "qualify" WHERE "r" = 1 ORDER BY "col8" DESC;
SELECT "orders"."id", "orders"."customer_id", "orders"."number", "orders"."status", "orders"."total", "orders"."currency", "orders"."note", "orders"."placed_at", "orders"."shipped_at", "orders"."lock_version", SUM("orders"."total") OVER (ORDER BY "orders"."id" ASC ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS "s" FROM "orders" ORDER BY "orders"."placed_at" DESC;
SELECT CASE WHEN "customers"."balance" > 10 THEN 'rich' WHEN "customers"."vip" THEN 'vip' ELSE 'x' END AS "k", COUNT("customers"."id") AS "id__count" FROM "customers" GROUP BY 1;
SELECT "customers"."id", "customers"."name", "customers"."email", "customers"."phone", "customers"."city", "customers"."birth_date", "customers"."vip", "customers"."balance", "customers"."preferences", "customers"."labels", "customers"."created_at", "customers"."updated_at", "customers"."version", (STATEMENT_TIMESTAMP() - "customers"."created_at") AS "a" FROM "customers";
SELECT "customers"."id", "customers"."name", "customers"."email", "customers"."phone", "customers"."city", "customers"."birth_date", "customers"."vip", "customers"."balance", "customers"."preferences", "customers"."labels", "customers"."created_at", "customers"."updated_at", "customers"."version" FROM "customers" WHERE ("customers"."preferences" -> 'news') = 'true'::jsonb;
SELECT "customers"."id", "customers"."name", "customers"."email", "customers"."phone", "customers"."city", "customers"."birth_date", "customers"."vip", "customers"."balance", "customers"."preferences", "customers"."labels", "customers"."created_at", "customers"."updated_at", "customers"."version" FROM "customers" WHERE "customers"."preferences" ? 'a';
SELECT "customers"."id", "customers"."name", "customers"."email", "customers"."phone", "customers"."city", "customers"."birth_date", "customers"."vip", "customers"."balance", "customers"."preferences", "customers"."labels", "customers"."created_at", "customers"."updated_at", "customers"."version" FROM "customers" WHERE "customers"."preferences" @> '{"a": 1}'::jsonb;
SELECT "customers"."id", "customers"."name", "customers"."email", "customers"."phone", "customers"."city", "customers"."birth_date", "customers"."vip", "customers"."balance", "customers"."preferences", "customers"."labels", "customers"."created_at", "customers"."updated_at", "customers"."version" FROM "customers" WHERE ("customers"."preferences" #> '{a,b}') > '1'::jsonb;
SELECT "customers"."id", "customers"."name", "customers"."email", "customers"."phone", "customers"."city", "customers"."birth_date", "customers"."vip", "customers"."balance", "customers"."preferences", "customers"."labels", "customers"."created_at", "customers"."updated_at", "customers"."version" FROM "customers" WHERE "customers"."labels" @> (ARRAY['a'])::text[];
SELECT "customers"."id", "customers"."name", "customers"."email", "customers"."phone", "customers"."city", "customers"."birth_date", "customers"."vip", "customers"."balance", "customers"."preferences", "customers"."labels", "customers"."created_at", "customers"."updated_at", "customers"."version" FROM "customers" WHERE "customers"."labels" && (ARRAY['a'])::text[];
SELECT "customers"."id", "customers"."name", "customers"."email", "customers"."phone", "customers"."city", "customers"."birth_date", "customers"."vip", "customers"."balance", "customers"."preferences", "customers"."labels", "customers"."created_at", "customers"."updated_at", "customers"."version" FROM "customers" WHERE CASE WHEN "customers"."labels" IS NULL THEN NULL ELSE coalesce(array_length("customers"."labels", 1), 0) END = 0;
SELECT "customers"."id", "customers"."name", "customers"."email", "customers"."phone", "customers"."city", "customers"."birth_date", "customers"."vip", "customers"."balance", "customers"."preferences", "customers"."labels", "customers"."created_at", "customers"."updated_at", "customers"."version" FROM "customers" WHERE ("customers"."labels")[1] = 'a';
SELECT ("customers"."preferences" -> 'a') AS "preferences__a" FROM "customers";
SELECT "customers"."id", "customers"."name", "customers"."email", "customers"."phone", "customers"."city", "customers"."birth_date", "customers"."vip", "customers"."balance", "customers"."preferences", "customers"."labels", "customers"."created_at", "customers"."updated_at", "customers"."version" FROM "customers" WHERE "customers"."name"::text ~ '^D';
SELECT "customers"."id", "customers"."name", "customers"."email", "customers"."phone", "customers"."city", "customers"."birth_date", "customers"."vip", "customers"."balance", "customers"."preferences", "customers"."labels", "customers"."created_at", "customers"."updated_at", "customers"."version" FROM "customers" WHERE UPPER("customers"."name"::text) = UPPER('d');
SELECT "customers"."id", "customers"."name", "customers"."email", "customers"."phone", "customers"."city", "customers"."birth_date", "customers"."vip", "customers"."balance", "customers"."preferences", "customers"."labels", "customers"."created_at", "customers"."updated_at", "customers"."version" FROM "customers" WHERE UPPER("customers"."name"::text) LIKE UPPER('d%');
SELECT "customers"."id", "customers"."name", "customers"."email", "customers"."phone", "customers"."city", "customers"."birth_date", "customers"."vip", "customers"."balance", "customers"."preferences", "customers"."labels", "customers"."created_at", "customers"."updated_at", "customers"."version" FROM "customers" WHERE UPPER("customers"."email"::text) LIKE UPPER('%x');
SELECT "customers"."id", "customers"."name", "customers"."email", "customers"."phone", "customers"."city", "customers"."birth_date", "customers"."vip", "customers"."balance", "customers"."preferences", "customers"."labels", "customers"."created_at", "customers"."updated_at", "customers"."version" FROM "customers" WHERE "customers"."id" IN (SELECT U0."customer_id" AS "customer" FROM "orders" U0);
SELECT "events"."id", "events"."customer_id", "events"."name", "events"."properties", "events"."happened_at", "events"."address" FROM "events" WHERE "events"."address" IS NULL;
SELECT "events"."id", "events"."customer_id", "events"."name", "events"."properties", "events"."happened_at", "events"."address" FROM "events" WHERE "events"."address" = '10.0.0.1'::inet;
SELECT ARRAY_AGG(DISTINCT "customers"."name" ) AS "a", STRING_AGG("customers"."name", ',' ) AS "s", JSONB_AGG("customers"."name" ) AS "j", BOOL_OR("customers"."vip") AS "b" FROM "customers";
SELECT "customers"."id", "customers"."name", "customers"."email", "customers"."phone", "customers"."city", "customers"."birth_date", "customers"."vip", "customers"."balance", "customers"."preferences", "customers"."labels", "customers"."created_at", "customers"."updated_at", "customers"."version", to_tsvector(COALESCE("customers"."name", '') || ' ' || COALESCE("customers"."city", '')) AS "s" FROM "customers" WHERE to_tsvector(COALESCE("customers"."name", '') || ' ' || COALESCE("customers"."city", '')) @@ (plainto_tsquery('D'));
SELECT "customers"."id", "customers"."name", "customers"."email", "customers"."phone", "customers"."city", "customers"."birth_date", "customers"."vip", "customers"."balance", "customers"."preferences", "customers"."labels", "customers"."created_at", "customers"."updated_at", "customers"."version", ts_rank(to_tsvector(COALESCE("customers"."name", '')), plainto_tsquery('d')) AS "r" FROM "customers" ORDER BY 14 DESC;
SELECT "customers"."id", "customers"."name", "customers"."email", "customers"."phone", "customers"."city", "customers"."birth_date", "customers"."vip", "customers"."balance", "customers"."preferences", "customers"."labels", "customers"."created_at", "customers"."updated_at", "customers"."version" FROM "customers" WHERE to_tsvector(COALESCE("customers"."name", '')) @@ (plainto_tsquery('d'));
(SELECT "customers"."name" AS "name" FROM "customers") UNION (SELECT "products"."title" AS "title" FROM "products");
(SELECT "customers"."id" AS "id" FROM "customers") INTERSECT (SELECT "orders"."customer_id" AS "customer_id" FROM "orders" ORDER BY "orders"."placed_at" DESC);
(SELECT "customers"."id" AS "id" FROM "customers") EXCEPT (SELECT "orders"."customer_id" AS "customer_id" FROM "orders" ORDER BY "orders"."placed_at" DESC);
(SELECT "customers"."name" AS "name" FROM "customers") UNION ALL (SELECT "products"."title" AS "title" FROM "products") ORDER BY 1 ASC LIMIT 3;
SELECT "orders"."id", "orders"."customer_id", "orders"."number", "orders"."status", "orders"."total", "orders"."currency", "orders"."note", "orders"."placed_at", "orders"."shipped_at", "orders"."lock_version" FROM "orders" WHERE "orders"."id" = 1 LIMIT 21 FOR UPDATE;
SELECT "orders"."id", "orders"."customer_id", "orders"."number", "orders"."status", "orders"."total", "orders"."currency", "orders"."note", "orders"."placed_at", "orders"."shipped_at", "orders"."lock_version", "customers"."id", "customers"."name", "customers"."email", "customers"."phone", "customers"."city", "customers"."birth_date", "customers"."vip", "customers"."balance", "customers"."preferences", "customers"."labels", "customers"."created_at", "customers"."updated_at", "customers"."version" FROM "orders" INNER JOIN "customers" ON ("orders"."customer_id" = "customers"."id") ORDER BY "orders"."placed_at" DESC FOR UPDATE OF "orders" SKIP LOCKED;
SELECT "orders"."id", "orders"."customer_id", "orders"."number", "orders"."status", "orders"."total", "orders"."currency", "orders"."note", "orders"."placed_at", "orders"."shipped_at", "orders"."lock_version" FROM "orders" ORDER BY "orders"."placed_at" DESC LIMIT 1 FOR NO KEY UPDATE;
SAVEPOINT "s140208406551424_x1";
UPDATE "orders" SET "customer_id" = 1, "number" = 'd1', "status" = 'new', "total" = 0, "currency" = 'EUR', "note" = 'x', "placed_at" = '2026-11-28 00:45:59.642002+00:00'::timestamptz, "shipped_at" = NULL, "lock_version" = 0 WHERE "orders"."id" = 1;
UPDATE "orders" SET "note" = 'x' WHERE "orders"."id" = 1;
SELECT "orders"."id", "orders"."customer_id", "orders"."number", "orders"."status", "orders"."total", "orders"."currency", "orders"."note", "orders"."placed_at", "orders"."shipped_at", "orders"."lock_version" FROM "orders" WHERE "orders"."id" = 1 LIMIT 21;
RELEASE SAVEPOINT "s140208406551424_x1";
SAVEPOINT "s140208406551424_x2";
ROLLBACK TO SAVEPOINT "s140208406551424_x2";
UPDATE "products" SET "stock" = ("products"."stock" - 1) WHERE "products"."stock" >= 0;
UPDATE "customers" SET "vip" = true WHERE "customers"."id" IN (SELECT U0."id" FROM "customers" U0 INNER JOIN "orders" U1 ON (U0."id" = U1."customer_id") WHERE U1."status" = 'new');
UPDATE "customers" SET "name" = UPPER("customers"."name"), "preferences" = '{"a": 1}'::jsonb;
UPDATE "products" SET "price" = (CASE WHEN ("products"."id" = 1) THEN 3 ELSE NULL END)::numeric(12, 2), "title" = (CASE WHEN ("products"."id" = 1) THEN 'D' ELSE NULL END)::varchar(200) WHERE "products"."id" IN (1);
SELECT "customers"."id", "customers"."name", "customers"."email", "customers"."phone", "customers"."city", "customers"."birth_date", "customers"."vip", "customers"."balance", "customers"."preferences", "customers"."labels", "customers"."created_at", "customers"."updated_at", "customers"."version" FROM "customers" WHERE "customers"."email" = 'd@x.example' LIMIT 21;
SELECT "customers"."id", "customers"."name", "customers"."email", "customers"."phone", "customers"."city", "customers"."birth_date", "customers"."vip", "customers"."balance", "customers"."preferences", "customers"."labels", "customers"."created_at", "customers"."updated_at", "customers"."version" FROM "customers" WHERE "customers"."email" = 'u@x.example' LIMIT 21 FOR UPDATE;
SAVEPOINT "s140208406551424_x3";
INSERT INTO "customers" ("name", "email", "phone", "city", "birth_date", "vip", "balance", "preferences", "labels", "created_at", "updated_at", "version") VALUES ('u', 'u@x.example', NULL, NULL, NULL, false, 0, '{}'::jsonb, '{}'::text[], '2026-11-28 00:46:00.912517+00:00'::timestamptz, '2026-11-28 00:46:00.912535+00:00'::timestamptz, 1) RETURNING "customers"."id";
RELEASE SAVEPOINT "s140208406551424_x3";
DELETE FROM "events" WHERE "events"."name" = 'a';
SELECT "orders"."id", "orders"."customer_id", "orders"."number", "orders"."status", "orders"."total", "orders"."currency", "orders"."note", "orders"."placed_at", "orders"."shipped_at", "orders"."lock_version" FROM "orders" WHERE "orders"."id" = 1;
DELETE FROM "order_items" WHERE "order_items"."order_id" IN (1);
DELETE FROM "orders" WHERE "orders"."id" IN (1);
SELECT "customers"."id", "customers"."name", "customers"."email", "customers"."phone", "customers"."city", "customers"."birth_date", "customers"."vip", "customers"."balance", "customers"."preferences", "customers"."labels", "customers"."created_at", "customers"."updated_at", "customers"."version" FROM "customers" WHERE "customers"."email" = 'd9@x.example';
SELECT "orders"."id" FROM "orders" WHERE "orders"."customer_id" IN (2) ORDER BY "orders"."placed_at" DESC;
DELETE FROM "customers" WHERE "customers"."id" IN (2);
DELETE FROM "events";
SELECT * FROM customers WHERE city = 'Oslo';
DECLARE "_django_curs_140208406551424_sync_1" NO SCROLL CURSOR WITH HOLD FOR SELECT "customers"."id", "customers"."name", "customers"."email", "customers"."phone", "customers"."city", "customers"."birth_date", "customers"."vip", "customers"."balance", "customers"."preferences", "customers"."labels", "customers"."created_at", "customers"."updated_at", "customers"."version" FROM "customers";
FETCH FORWARD 2 FROM "_django_curs_140208406551424_sync_1";
CLOSE "_django_curs_140208406551424_sync_1";
SELECT "customers"."id", "customers"."name", "customers"."email", "customers"."phone", "customers"."city", "customers"."birth_date", "customers"."vip", "customers"."balance", "customers"."preferences", "customers"."labels", "customers"."created_at", "customers"."updated_at", "customers"."version" FROM "customers" WHERE "customers"."id" IN (1, 2);
SELECT "customers"."id", "customers"."name" FROM "customers";
SELECT "customers"."id", "customers"."name", "customers"."email", "customers"."phone", "customers"."city", "customers"."birth_date", "customers"."vip", "customers"."balance", "customers"."labels", "customers"."created_at", "customers"."updated_at", "customers"."version" FROM "customers";
SELECT "customers"."id", "customers"."name", "customers"."email", "customers"."phone", "customers"."city", "customers"."birth_date", "customers"."vip", "customers"."balance", "customers"."preferences", "customers"."labels", "customers"."created_at", "customers"."updated_at", "customers"."version" FROM "customers" LEFT OUTER JOIN "orders" ON ("customers"."id" = "orders"."customer_id") GROUP BY "customers"."id", "customers"."name", "customers"."email", "customers"."phone", "customers"."city", "customers"."birth_date", "customers"."vip", "customers"."balance", "customers"."preferences", "customers"."labels", "customers"."created_at", "customers"."updated_at", "customers"."version" HAVING COUNT("orders"."id") = 0;
SELECT "customers"."id", "customers"."name", "customers"."email", "customers"."phone", "customers"."city", "customers"."birth_date", "customers"."vip", "customers"."balance", "customers"."preferences", "customers"."labels", "customers"."created_at", "customers"."updated_at", "customers"."version" FROM "customers" LEFT OUTER JOIN "orders" ON ("customers"."id" = "orders"."customer_id") WHERE "orders"."id" IS NULL;
SELECT "customers"."id", "customers"."name", "customers"."email", "customers"."phone", "customers"."city", "customers"."birth_date", "customers"."vip", "customers"."balance", "customers"."preferences", "customers"."labels", "customers"."created_at", "customers"."updated_at", "customers"."version" FROM "customers" WHERE (length(name) > 0);
SELECT "orders"."id", "orders"."customer_id", "orders"."number", "orders"."status", "orders"."total", "orders"."currency", "orders"."note", "orders"."placed_at", "orders"."shipped_at", "orders"."lock_version" FROM "orders" ORDER BY "orders"."shipped_at" DESC NULLS LAST;
SELECT "orders"."id", "orders"."customer_id", "orders"."number", "orders"."status", "orders"."total", "orders"."currency", "orders"."note", "orders"."placed_at", "orders"."shipped_at", "orders"."lock_version" FROM "orders" ORDER BY RANDOM() ASC LIMIT 1;
SELECT "orders"."id", "orders"."customer_id", "orders"."number", "orders"."status", "orders"."total", "orders"."currency", "orders"."note", "orders"."placed_at", "orders"."shipped_at", "orders"."lock_version" FROM "orders" ORDER BY "orders"."placed_at" ASC LIMIT 5;
SELECT "categories"."id", "categories"."parent_id", "categories"."name", "categories"."slug", "categories"."position" FROM "categories" INNER JOIN "categories" T2 ON ("categories"."parent_id" = T2."id") INNER JOIN "categories" T3 ON (T2."parent_id" = T3."id") WHERE T3."name" = 'x';
SELECT "categories"."id", "categories"."parent_id", "categories"."name", "categories"."slug", "categories"."position", COUNT(T2."id") AS "n" FROM "categories" LEFT OUTER JOIN "categories" T2 ON ("categories"."id" = T2."parent_id") GROUP BY "categories"."id", "categories"."parent_id", "categories"."name", "categories"."slug", "categories"."position";
SELECT "orders"."id", "orders"."customer_id", "orders"."number", "orders"."status", "orders"."total", "orders"."currency", "orders"."note", "orders"."placed_at", "orders"."shipped_at", "orders"."lock_version" FROM "orders" INNER JOIN "customers" ON ("orders"."customer_id" = "customers"."id") WHERE "orders"."total" > ("customers"."balance") ORDER BY "orders"."placed_at" DESC;
SELECT "customers"."id", "customers"."name", "customers"."email", "customers"."phone", "customers"."city", "customers"."birth_date", "customers"."vip", "customers"."balance", "customers"."preferences", "customers"."labels", "customers"."created_at", "customers"."updated_at", "customers"."version" FROM "customers" INNER JOIN "orders" t ON ("customers"."id" = t."customer_id" AND (t."status" = 'new')) WHERE t."total" > 0;
SELECT "orders"."status" AS "status", "orders"."currency" AS "currency", COUNT("orders"."id") AS "pk__count" FROM "orders" GROUP BY 1, 2;
SELECT "customers"."city" AS "customer__city", AVG("order_items"."quantity") AS "items__quantity__avg" FROM "orders" INNER JOIN "customers" ON ("orders"."customer_id" = "customers"."id") LEFT OUTER JOIN "order_items" ON ("orders"."id" = "order_items"."order_id") GROUP BY 1;
SELECT "customers"."id", "customers"."name", "customers"."email", "customers"."phone", "customers"."city", "customers"."birth_date", "customers"."vip", "customers"."balance", "customers"."preferences", "customers"."labels", "customers"."created_at", "customers"."updated_at", "customers"."version" FROM "customers" ORDER BY "customers"."id" ASC LIMIT 2;
SELECT COUNT(*) FROM (SELECT "orders"."id" AS "col1" FROM "orders" LEFT OUTER JOIN "order_items" ON ("orders"."id" = "order_items"."order_id") GROUP BY 1) subquery;
SELECT
                c.relname,
                CASE
                    WHEN c.relispartition THEN 'p'
                    WHEN c.relkind IN ('m', 'v') THEN 'v'
                    ELSE 't'
                END,
                obj_description(c.oid, 'pg_class')
            FROM pg_catalog.pg_class c
            LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relkind IN ('f', 'm', 'p', 'r', 'v')
                AND n.nspname NOT IN ('pg_catalog', 'pg_toast')
                AND pg_catalog.pg_table_is_visible(c.oid);
SELECT
                a.attname AS column_name,
                NOT (a.attnotnull OR (t.typtype = 'd' AND t.typnotnull)) AS is_nullable,
                pg_get_expr(ad.adbin, ad.adrelid) AS column_default,
                CASE WHEN collname = 'default' THEN NULL ELSE collname END AS collation,
                a.attidentity != '' AS is_autofield,
                col_description(a.attrelid, a.attnum) AS column_comment
            FROM pg_attribute a
            LEFT JOIN pg_attrdef ad ON a.attrelid = ad.adrelid AND a.attnum = ad.adnum
            LEFT JOIN pg_collation co ON a.attcollation = co.oid
            JOIN pg_type t ON a.atttypid = t.oid
            JOIN pg_class c ON a.attrelid = c.oid
            JOIN pg_namespace n ON c.relnamespace = n.oid
            WHERE c.relkind IN ('f', 'm', 'p', 'r', 'v')
                AND c.relname = 'customers'
                AND n.nspname NOT IN ('pg_catalog', 'pg_toast')
                AND pg_catalog.pg_table_is_visible(c.oid);
SELECT * FROM "customers" LIMIT 1;
SELECT a1.attname, c2.relname, a2.attname
            FROM pg_constraint con
            LEFT JOIN pg_class c1 ON con.conrelid = c1.oid
            LEFT JOIN pg_class c2 ON con.confrelid = c2.oid
            LEFT JOIN
                pg_attribute a1 ON c1.oid = a1.attrelid AND a1.attnum = con.conkey[1]
            LEFT JOIN
                pg_attribute a2 ON c2.oid = a2.attrelid AND a2.attnum = con.confkey[1]
            WHERE
                c1.relname = 'customers' AND
                con.contype = 'f' AND
                c1.relnamespace = c2.relnamespace AND
                pg_catalog.pg_table_is_visible(c1.oid);
SELECT
                c.conname,
                array(
                    SELECT attname
                    FROM unnest(c.conkey) WITH ORDINALITY cols(colid, arridx)
                    JOIN pg_attribute AS ca ON cols.colid = ca.attnum
                    WHERE ca.attrelid = c.conrelid
                    ORDER BY cols.arridx
                ),
                c.contype,
                (SELECT fkc.relname || '.' || fka.attname
                FROM pg_attribute AS fka
                JOIN pg_class AS fkc ON fka.attrelid = fkc.oid
                WHERE fka.attrelid = c.confrelid AND fka.attnum = c.confkey[1]),
                cl.reloptions
            FROM pg_constraint AS c
            JOIN pg_class AS cl ON c.conrelid = cl.oid
            WHERE cl.relname = 'customers' AND pg_catalog.pg_table_is_visible(cl.oid);
SELECT
                indexname,
                array_agg(attname ORDER BY arridx),
                indisunique,
                indisprimary,
                array_agg(ordering ORDER BY arridx),
                amname,
                exprdef,
                s2.attoptions
            FROM (
                SELECT
                    c2.relname as indexname, idx.*, attr.attname, am.amname,
                    CASE
                        WHEN idx.indexprs IS NOT NULL THEN
                            pg_get_indexdef(idx.indexrelid)
                    END AS exprdef,
                    CASE am.amname
                        WHEN 'btree' THEN
                            CASE (option & 1)
                                WHEN 1 THEN 'DESC' ELSE 'ASC'
                            END
                    END as ordering,
                    c2.reloptions as attoptions
                FROM (
                    SELECT *
                    FROM
                        pg_index i,
                        unnest(i.indkey, i.indoption)
                            WITH ORDINALITY koi(key, option, arridx)
                ) idx
                LEFT JOIN pg_class c ON idx.indrelid = c.oid
                LEFT JOIN pg_class c2 ON idx.indexrelid = c2.oid
                LEFT JOIN pg_am am ON c2.relam = am.oid
                LEFT JOIN
                    pg_attribute attr ON attr.attrelid = c.oid AND attr.attnum = idx.key
                WHERE c.relname = 'customers' AND pg_catalog.pg_table_is_visible(c.oid)
            ) s2
            GROUP BY indexname, indisunique, indisprimary, amname, exprdef, attoptions;;
SELECT
                s.relname AS sequence_name,
                a.attname AS colname
            FROM
                pg_class s
                JOIN pg_depend d ON d.objid = s.oid
                    AND d.classid = 'pg_class'::regclass
                    AND d.refclassid = 'pg_class'::regclass
                JOIN pg_attribute a ON d.refobjid = a.attrelid
                    AND d.refobjsubid = a.attnum
                JOIN pg_class tbl ON tbl.oid = d.refobjid
                    AND tbl.relname = 'customers'
                    AND pg_catalog.pg_table_is_visible(tbl.oid)
            WHERE
                s.relkind = 'S';;
SELECT
                a.attname AS column_name,
                NOT (a.attnotnull OR (t.typtype = 'd' AND t.typnotnull)) AS is_nullable,
                pg_get_expr(ad.adbin, ad.adrelid) AS column_default,
                CASE WHEN collname = 'default' THEN NULL ELSE collname END AS collation,
                a.attidentity != '' AS is_autofield,
                col_description(a.attrelid, a.attnum) AS column_comment
            FROM pg_attribute a
            LEFT JOIN pg_attrdef ad ON a.attrelid = ad.adrelid AND a.attnum = ad.adnum
            LEFT JOIN pg_collation co ON a.attcollation = co.oid
            JOIN pg_type t ON a.atttypid = t.oid
            JOIN pg_class c ON a.attrelid = c.oid
            JOIN pg_namespace n ON c.relnamespace = n.oid
            WHERE c.relkind IN ('f', 'm', 'p', 'r', 'v')
                AND c.relname = 'orders'
                AND n.nspname NOT IN ('pg_catalog', 'pg_toast')
                AND pg_catalog.pg_table_is_visible(c.oid);
SELECT * FROM "orders" LIMIT 1;
SELECT a1.attname, c2.relname, a2.attname
            FROM pg_constraint con
            LEFT JOIN pg_class c1 ON con.conrelid = c1.oid
            LEFT JOIN pg_class c2 ON con.confrelid = c2.oid
            LEFT JOIN
                pg_attribute a1 ON c1.oid = a1.attrelid AND a1.attnum = con.conkey[1]
            LEFT JOIN
                pg_attribute a2 ON c2.oid = a2.attrelid AND a2.attnum = con.confkey[1]
            WHERE
                c1.relname = 'orders' AND
                con.contype = 'f' AND
                c1.relnamespace = c2.relnamespace AND
                pg_catalog.pg_table_is_visible(c1.oid);
SELECT
                c.conname,
                array(
                    SELECT attname
                    FROM unnest(c.conkey) WITH ORDINALITY cols(colid, arridx)
                    JOIN pg_attribute AS ca ON cols.colid = ca.attnum
                    WHERE ca.attrelid = c.conrelid
                    ORDER BY cols.arridx
                ),
                c.contype,
                (SELECT fkc.relname || '.' || fka.attname
                FROM pg_attribute AS fka
                JOIN pg_class AS fkc ON fka.attrelid = fkc.oid
                WHERE fka.attrelid = c.confrelid AND fka.attnum = c.confkey[1]),
                cl.reloptions
            FROM pg_constraint AS c
            JOIN pg_class AS cl ON c.conrelid = cl.oid
            WHERE cl.relname = 'orders' AND pg_catalog.pg_table_is_visible(cl.oid);
SELECT
                indexname,
                array_agg(attname ORDER BY arridx),
                indisunique,
                indisprimary,
                array_agg(ordering ORDER BY arridx),
                amname,
                exprdef,
                s2.attoptions
            FROM (
                SELECT
                    c2.relname as indexname, idx.*, attr.attname, am.amname,
                    CASE
                        WHEN idx.indexprs IS NOT NULL THEN
                            pg_get_indexdef(idx.indexrelid)
                    END AS exprdef,
                    CASE am.amname
                        WHEN 'btree' THEN
                            CASE (option & 1)
                                WHEN 1 THEN 'DESC' ELSE 'ASC'
                            END
                    END as ordering,
                    c2.reloptions as attoptions
                FROM (
                    SELECT *
                    FROM
                        pg_index i,
                        unnest(i.indkey, i.indoption)
                            WITH ORDINALITY koi(key, option, arridx)
                ) idx
                LEFT JOIN pg_class c ON idx.indrelid = c.oid
                LEFT JOIN pg_class c2 ON idx.indexrelid = c2.oid
                LEFT JOIN pg_am am ON c2.relam = am.oid
                LEFT JOIN
                    pg_attribute attr ON attr.attrelid = c.oid AND attr.attnum = idx.key
                WHERE c.relname = 'orders' AND pg_catalog.pg_table_is_visible(c.oid)
            ) s2
            GROUP BY indexname, indisunique, indisprimary, amname, exprdef, attoptions;;
SELECT
                s.relname AS sequence_name,
                a.attname AS colname
            FROM
                pg_class s
                JOIN pg_depend d ON d.objid = s.oid
                    AND d.classid = 'pg_class'::regclass
                    AND d.refclassid = 'pg_class'::regclass
                JOIN pg_attribute a ON d.refobjid = a.attrelid
                    AND d.refobjsubid = a.attnum
                JOIN pg_class tbl ON tbl.oid = d.refobjid
                    AND tbl.relname = 'orders'
                    AND pg_catalog.pg_table_is_visible(tbl.oid)
            WHERE
                s.relkind = 'S';;
