SELECT c.relname AS "name", n.nspname AS "schema", CASE c.relkind WHEN 'r' THEN 'TABLE' WHEN 'p' THEN 'PARTITIONED TABLE' WHEN 'v' THEN 'VIEW' WHEN 'f' THEN 'FOREIGN TABLE' WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE NULL END AS "type", d.description AS "description", stat.n_live_tup AS "estimated_row_count" FROM pg_catalog.pg_class AS c INNER JOIN pg_catalog.pg_namespace AS n ON c.relnamespace = n.oid LEFT JOIN pg_catalog.pg_description AS d ON (c.oid = d.objoid) AND (d.objsubid = 0) AND (d.classoid = 'pg_class'::regclass) LEFT JOIN pg_stat_user_tables AS stat ON (n.nspname = stat.schemaname) AND (c.relname = stat.relname) WHERE (c.relnamespace = n.oid) AND (n.nspname !~ '^pg_') AND (n.nspname <> 'information_schema') AND c.relkind IN ('r', 'p', 'v', 'f', 'm') ORDER BY "type" ASC, "schema" ASC, "name" ASC;
SELECT "c"."column_name" AS "name", "c"."udt_name" AS "database-type", "c"."ordinal_position" - 1 AS "database-position", "c"."table_schema" AS "table-schema", "c"."table_name" AS "table-name", "pk"."column_name" IS NOT NULL AS "pk?", COL_DESCRIPTION(CAST(CAST(FORMAT('%I.%I', CAST("c"."table_schema" AS TEXT), CAST("c"."table_name" AS TEXT)) AS REGCLASS) AS OID), "c"."ordinal_position") AS "field-comment", (("column_default" IS NULL) OR (LOWER("column_default") = 'null')) AND ("is_nullable" = 'NO') AND NOT ((("column_default" IS NOT NULL) AND ("column_default" LIKE '%nextval(%')) OR ("is_identity" <> 'NO')) AS "database-required", (("column_default" IS NOT NULL) AND ("column_default" LIKE '%nextval(%')) OR ("is_identity" <> 'NO') AS "database-is-auto-increment" FROM "information_schema"."columns" AS "c" LEFT JOIN (SELECT "tc"."table_schema", "tc"."table_name", "kc"."column_name" FROM "information_schema"."table_constraints" AS "tc" INNER JOIN "information_schema"."key_column_usage" AS "kc" ON ("tc"."constraint_name" = "kc"."constraint_name") AND ("tc"."table_schema" = "kc"."table_schema") AND ("tc"."table_name" = "kc"."table_name") WHERE "tc"."constraint_type" = 'PRIMARY KEY') AS "pk" ON ("c"."table_schema" = "pk"."table_schema") AND ("c"."table_name" = "pk"."table_name") AND ("c"."column_name" = "pk"."column_name") WHERE c.table_schema !~ '^information_schema|catalog_history|pg_' AND ("c"."table_schema" IN ('public')) ORDER BY "table-schema" ASC, "table-name" ASC, "database-position" ASC;
SELECT "fk_ns"."nspname" AS "fk-table-schema", "fk_table"."relname" AS "fk-table-name", "fk_column"."attname" AS "fk-column-name", "pk_ns"."nspname" AS "pk-table-schema", "pk_table"."relname" AS "pk-table-name", "pk_column"."attname" AS "pk-column-name" FROM "pg_constraint" AS "c" INNER JOIN "pg_class" AS "fk_table" ON "c"."conrelid" = "fk_table"."oid" INNER JOIN "pg_namespace" AS "fk_ns" ON "c"."connamespace" = "fk_ns"."oid" INNER JOIN "pg_attribute" AS "fk_column" ON "c"."conrelid" = "fk_column"."attrelid" INNER JOIN "pg_class" AS "pk_table" ON "c"."confrelid" = "pk_table"."oid" INNER JOIN "pg_namespace" AS "pk_ns" ON "pk_table"."relnamespace" = "pk_ns"."oid" INNER JOIN "pg_attribute" AS "pk_column" ON "c"."confrelid" = "pk_column"."attrelid" WHERE fk_ns.nspname !~ '^information_schema|catalog_history|pg_' AND ("c"."contype" = 'f'::char) AND ("fk_column"."attnum" = ANY(c.conkey)) AND ("pk_column"."attnum" = ANY(c.confkey)) ORDER BY "fk-table-schema" ASC, "fk-table-name" ASC;
with table_privileges as (
  select NULL as role, t.schemaname as schema, t.objectname as table,
     pg_catalog.has_any_column_privilege(current_user, '"' || replace(t.schemaname, '"', '""') || '"' || '.' || '"' || replace(t.objectname, '"', '""') || '"', 'update') as update,
     pg_catalog.has_any_column_privilege(current_user, '"' || replace(t.schemaname, '"', '""') || '"' || '.' || '"' || replace(t.objectname, '"', '""') || '"', 'select') as select,
     pg_catalog.has_any_column_privilege(current_user, '"' || replace(t.schemaname, '"', '""') || '"' || '.' || '"' || replace(t.objectname, '"', '""') || '"', 'insert') as insert,
     pg_catalog.has_table_privilege(current_user, '"' || replace(t.schemaname, '"', '""') || '"' || '.' || '"' || replace(t.objectname, '"', '""') || '"', 'delete') as delete
  from (
    select schemaname, tablename as objectname from pg_catalog.pg_tables
    union
    select schemaname, viewname as objectname from pg_catalog.pg_views
    union
    select schemaname, matviewname as objectname from pg_catalog.pg_matviews
  ) t
  where t.schemaname !~ '^pg_'
    and t.schemaname <> 'information_schema'
    and pg_catalog.has_schema_privilege(current_user, t.schemaname, 'usage')
)
select t.* from table_privileges t;
SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema';
SELECT nspname FROM pg_namespace WHERE nspname NOT LIKE 'pg_%' ORDER BY nspname;
SELECT tmp.typname, tmp.oid FROM (SELECT DISTINCT t.typname, t.oid FROM pg_enum e LEFT JOIN pg_type t ON t.oid = e.enumtypid) tmp;
SHOW TIMEZONE;
SELECT * FROM information_schema.table_privileges LIMIT 10;
SELECT "public"."orders"."id" AS "id", "public"."orders"."status" AS "status", "public"."orders"."total" AS "total" FROM "public"."orders" LIMIT 2000;
SELECT count(*) AS "count" FROM "public"."orders";
SELECT DATE_TRUNC('month', "public"."orders"."placed_at") AS "placed_at", SUM("public"."orders"."total") AS "sum" FROM "public"."orders" GROUP BY DATE_TRUNC('month', "public"."orders"."placed_at") ORDER BY DATE_TRUNC('month', "public"."orders"."placed_at") ASC;
SELECT CAST("public"."orders"."placed_at" AS date) AS "placed_at", COUNT(*) AS "count" FROM "public"."orders" WHERE ("public"."orders"."placed_at" >= DATE_TRUNC('day', NOW() + INTERVAL '-30 day')) AND ("public"."orders"."placed_at" < DATE_TRUNC('day', NOW())) GROUP BY CAST("public"."orders"."placed_at" AS date) ORDER BY CAST("public"."orders"."placed_at" AS date) ASC;
SELECT "source"."status" AS "status", COUNT(*) AS "count" FROM (SELECT "public"."orders"."status" AS "status", "Customers"."city" AS "Customers__city" FROM "public"."orders" LEFT JOIN "public"."customers" AS "Customers" ON "public"."orders"."customer_id" = "Customers"."id") AS "source" WHERE ("source"."Customers__city" = 'Ghent') GROUP BY "source"."status" ORDER BY "count" DESC, "source"."status" ASC;
SELECT FLOOR((("public"."orders"."total" - 0.0) / 10.0)) * 10.0 + 0.0 AS "total", COUNT(*) AS "count" FROM "public"."orders" GROUP BY FLOOR((("public"."orders"."total" - 0.0) / 10.0)) * 10.0 + 0.0 ORDER BY 1;
SELECT "public"."customers"."city" AS "city", COUNT(DISTINCT "public"."customers"."id") AS "count", AVG("public"."customers"."balance") AS "avg", STDDEV_POP("public"."customers"."balance") AS "stddev", PERCENTILE_CONT(0.9) WITHIN GROUP (ORDER BY "public"."customers"."balance") AS "p90", SUM(CASE WHEN "public"."customers"."vip" = TRUE THEN 1 ELSE 0.0 END) AS "vips" FROM "public"."customers" GROUP BY "public"."customers"."city" HAVING COUNT(*) > 0;
SELECT "public"."customers"."name" FROM "public"."customers" WHERE (LOWER("public"."customers"."name") LIKE '%an%') AND (NOT (LOWER("public"."customers"."city") LIKE 'x%') OR ("public"."customers"."city" IS NULL)) GROUP BY "public"."customers"."name" ORDER BY "public"."customers"."name" ASC LIMIT 1000;
SELECT "public"."products"."id", CAST(jsonb_extract_path_text(CAST("public"."products"."attributes" AS jsonb), 'color') AS text) AS "color" FROM "public"."products" LIMIT 10;
SELECT SUBSTRING("public"."customers"."name", 1, 1234) AS "substring", MAX("public"."customers"."created_at") FROM "public"."customers" GROUP BY 1 LIMIT 5;
SELECT (EXTRACT(DOW FROM "public"."orders"."placed_at") + 1) AS "d", CAST(EXTRACT(HOUR FROM "public"."orders"."placed_at") AS integer) AS "h", COUNT(*) FROM "public"."orders" GROUP BY 1, 2;
SELECT a.* FROM (SELECT DATE_TRUNC('week', placed_at) AS __timestamp, status AS status, COUNT(*) AS count FROM public.orders JOIN (SELECT status AS status__, COUNT(*) AS mme_inner__ FROM public.orders GROUP BY status ORDER BY mme_inner__ DESC LIMIT 25) AS series_limit ON status = status__ GROUP BY status, DATE_TRUNC('week', placed_at) ORDER BY count DESC LIMIT 50000) a;
SELECT DATE_TRUNC('day', placed_at) AS placed_at, SUM(total) AS "SUM(total)" FROM public.orders WHERE placed_at >= TO_TIMESTAMP('2025-01-01 00:00:00.000000', 'YYYY-MM-DD HH24:MI:SS.US') AND placed_at < TO_TIMESTAMP('2026-01-01 00:00:00.000000', 'YYYY-MM-DD HH24:MI:SS.US') GROUP BY DATE_TRUNC('day', placed_at) ORDER BY "SUM(total)" DESC LIMIT 10000;
SELECT COUNT(*) AS rowcount FROM (SELECT status AS status FROM public.orders GROUP BY status LIMIT 1000) AS rowcount_qry;
SELECT MIN(placed_at), MAX(placed_at) FROM public.orders;
SELECT quote_ident(table_name) AS "table" FROM information_schema.tables WHERE quote_ident(table_schema) NOT IN ('information_schema', 'pg_catalog', '_timescaledb_cache', '_timescaledb_catalog', '_timescaledb_internal', '_timescaledb_config', 'timescaledb_information', 'timescaledb_experimental') ORDER BY CASE WHEN quote_ident(table_schema) = 'public' THEN 0 ELSE 1 END, 1;
SELECT quote_ident(column_name) AS "column", data_type AS "type" FROM information_schema.columns WHERE CASE WHEN array_length(parse_ident('orders'),1) = 2 THEN quote_ident(table_schema) = (parse_ident('orders'))[1] AND quote_ident(table_name) = (parse_ident('orders'))[2] ELSE quote_ident(table_name) = 'orders' AND quote_ident(table_schema) IN (SELECT CASE WHEN TRIM(s[i]) = '"$user"' THEN user ELSE TRIM(s[i]) END FROM generate_series(array_lower(string_to_array(current_setting('search_path'), ','), 1), array_upper(string_to_array(current_setting('search_path'), ','), 1)) AS i, string_to_array(current_setting('search_path'), ',') s) END;
SELECT current_setting('server_version_num')::int/100 as version;
SELECT floor(extract(epoch from placed_at)/300)*300 AS "time", avg(total) AS "avg" FROM orders WHERE placed_at BETWEEN '2026-01-01T00:00:00Z' AND '2026-01-02T00:00:00Z' GROUP BY 1 ORDER BY 1;
SELECT extversion FROM pg_extension WHERE extname = 'timescaledb';
SELECT date_part('epoch', placed_at)::bigint AS time, status AS metric, total AS value FROM orders ORDER BY 1;
BEGIN;declare "SQL_CUR0x55d" cursor with hold for SELECT "orders"."status" AS "status", SUM("orders"."total") AS "sum:total:ok" FROM "public"."orders" "orders" GROUP BY 1;fetch 10 in "SQL_CUR0x55d";
SELECT "t0"."city" AS "city", SUM("t0"."x") FROM (SELECT "customers"."city", 1 AS "x" FROM "public"."customers" "customers") "t0" GROUP BY "t0"."city";
SELECT CAST("orders"."placed_at" AS DATE) AS "d", CASE WHEN 0 = "orders"."total" THEN NULL ELSE 1 / "orders"."total" END AS "ratio" FROM "public"."orders" "orders" LIMIT 100;
SELECT "customers"."name" AS "name", (CASE WHEN (((CASE WHEN "orders"."status" = 'new' THEN 1 ELSE 0 END)) > 0) THEN 'y' ELSE 'n' END) AS "calc" FROM "public"."customers" "customers" INNER JOIN "public"."orders" "orders" ON ("customers"."id" = "orders"."customer_id");
select current_schema(), session_user, current_user, current_database(), version();
SELECT pg_is_in_recovery();
SELECT datname FROM pg_database WHERE datistemplate = false AND datallowconn ORDER BY datname;
SELECT rolname, rolsuper FROM pg_roles WHERE rolname = current_user;
SELECT pg_size_pretty(pg_total_relation_size('orders'));
SELECT reltuples::bigint FROM pg_class WHERE oid = 'public.orders'::regclass;
SELECT table_catalog, table_schema, table_name, table_type FROM information_schema.tables WHERE table_schema = 'public';
SELECT column_name, data_type, character_maximum_length, numeric_precision, is_nullable, column_default FROM information_schema.columns WHERE table_name = 'orders' ORDER BY ordinal_position;
SELECT kcu.column_name, ccu.table_name AS foreign_table_name, ccu.column_name AS foreign_column_name FROM information_schema.table_constraints AS tc JOIN information_schema.key_column_usage AS kcu ON tc.constraint_name = kcu.constraint_name JOIN information_schema.constraint_column_usage AS ccu ON ccu.constraint_name = tc.constraint_name WHERE tc.constraint_type = 'FOREIGN KEY' AND tc.table_name = 'orders';
SELECT i.relname, pg_get_indexdef(ix.indexrelid) FROM pg_index ix JOIN pg_class i ON i.oid = ix.indexrelid JOIN pg_class t ON t.oid = ix.indrelid WHERE t.relname = 'orders';
SELECT matviewname FROM pg_matviews WHERE schemaname = 'public';
SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'orders'::regclass;
SELECT viewname, definition FROM pg_views WHERE schemaname = 'public';
