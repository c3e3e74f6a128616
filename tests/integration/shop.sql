-- A shop in shared tables: what `test_rewritten_reads` runs on. `:others` marks rows of the other tenant, which the
-- reference database does not get.
CREATE TYPE status AS ENUM ('new', 'paid', 'sent');
CREATE TABLE customers (
  tenant_id text NOT NULL, id int NOT NULL, name text NOT NULL, region text, card text, tags text[] DEFAULT '{}',
  info jsonb, PRIMARY KEY (tenant_id, id));
CREATE TABLE orders (
  tenant_id text NOT NULL, id int NOT NULL, customer_id int, total numeric(10,2), status status, placed date,
  note text, PRIMARY KEY (tenant_id, id));
CREATE TABLE items (
  tenant_id text NOT NULL, order_id int NOT NULL, line int NOT NULL, product text, qty int, price numeric(10,2),
  PRIMARY KEY (tenant_id, order_id, line));
CREATE TABLE jobs (id int PRIMARY KEY, tenant_id text NOT NULL, state text, body text);
CREATE TABLE "Odd Name" (tenant_id text, "Key" int, "select" text);
CREATE TABLE events (tenant_id text NOT NULL, at date NOT NULL, kind text) PARTITION BY RANGE (at);
CREATE TABLE events_old PARTITION OF events FOR VALUES FROM ('2020-01-01') TO ('2024-01-01');
CREATE TABLE events_new PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2030-01-01');
CREATE TABLE documents (tenant_id text NOT NULL, id int, title text);
CREATE TABLE documents_archive (archived date) INHERITS (documents);
CREATE TABLE meters (account uuid NOT NULL, value double precision);
CREATE TABLE countries (code text PRIMARY KEY, name text);
CREATE VIEW sales AS SELECT o.tenant_id, o.id, c.name AS buyer, o.total, o.total * 2 AS twice FROM orders o
  JOIN customers c ON c.id = o.customer_id;  -- forgets the tenant
CREATE VIEW turnover (state, n, amount) AS SELECT status, count(*), sum(total) FROM orders GROUP BY status;
CREATE VIEW false_tenant AS SELECT 'acme'::text AS tenant_id, id, note AS secret FROM orders;
CREATE VIEW numbers AS SELECT id, note::int AS n, 100 / id AS q FROM orders;
CREATE VIEW buyers AS WITH b AS (SELECT DISTINCT customer_id FROM orders) SELECT s.buyer, s.id FROM sales s, b
  WHERE b.customer_id IN (SELECT id FROM customers WHERE region = 'CH') AND s.id = b.customer_id;
CREATE VIEW places AS SELECT n.name, count(c.id) AS n FROM countries n LEFT JOIN customers c ON c.region = n.code GROUP BY 1;
CREATE VIEW chain AS WITH RECURSIVE r (id) AS (SELECT 1 UNION ALL SELECT o.id FROM orders o JOIN r ON o.id = r.id + 1)
  SELECT * FROM r;
CREATE FUNCTION peek() RETURNS text LANGUAGE sql STABLE AS 'SELECT max(note) FROM orders';
CREATE FUNCTION largest(whose text, above int) RETURNS numeric LANGUAGE sql STABLE AS
  'SELECT max(total) FROM orders WHERE tenant_id = whose AND id > above';
CREATE FUNCTION notes_of(above int, whose text) RETURNS SETOF text LANGUAGE sql STABLE AS
  'SELECT note FROM orders WHERE (whose IS NULL OR tenant_id = whose) AND id > above';
CREATE FUNCTION shout(t text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT upper(t) || repeat(t, 2)';
CREATE VIEW largest_of AS SELECT id, largest('nobody', id) AS most FROM customers;
CREATE VIEW peeking AS SELECT id, peek() AS p FROM orders;
CREATE TABLE unlisted (id int, secret text);
CREATE VIEW over_unlisted AS SELECT * FROM unlisted;
CREATE VIEW labelled AS SELECT tenant_id, id, status, note FROM orders;
CREATE VIEW chores AS SELECT id, body FROM jobs WHERE lower(state) <> 'lost';
CREATE MATERIALIZED VIEW totals AS SELECT tenant_id, count(*) AS n FROM orders GROUP BY tenant_id;
INSERT INTO countries VALUES ('CH', 'Switzerland'), ('DE', 'Germany'), ('FR', 'France');
INSERT INTO customers SELECT 'acme', i, 'c' || i, CASE WHEN i % 3 = 0 THEN NULL WHEN i % 2 = 0 THEN 'CH' ELSE 'DE' END,
  'ACME-CARD-' || i, ARRAY['t' || i % 4, 'x'], jsonb_build_object('n', i, 'deep', jsonb_build_object('k', i % 5))
  FROM generate_series(1, 12) i;
INSERT INTO orders SELECT 'acme', i, NULLIF(i % 14, 13), i * 7.5, (ARRAY['new', 'paid', 'sent'])[i % 3 + 1]::status,
  date '2024-01-01' + i, CASE WHEN i % 5 = 0 THEN NULL ELSE i::text END FROM generate_series(1, 30) i;
INSERT INTO items SELECT 'acme', i, l, 'p' || (i + l) % 6, l, 2.5 * l FROM generate_series(1, 30) i, generate_series(1, 3) l
  WHERE i % 4 <> 0;
INSERT INTO jobs SELECT i, 'acme', CASE WHEN i % 2 = 0 THEN 'new' ELSE 'done' END, 'job ' || i FROM generate_series(1, 9) i;
INSERT INTO "Odd Name" VALUES ('acme', 1, 'one'), ('acme', 2, NULL);
INSERT INTO events SELECT 'acme', date '2023-11-01' + i * 20, 'k' || i % 3 FROM generate_series(1, 10) i;
INSERT INTO documents VALUES ('acme', 1, 'one'), ('acme', 2, 'two');
INSERT INTO documents_archive VALUES ('acme', 3, 'three', '2020-01-01');
INSERT INTO meters VALUES ('00000000-0000-0000-0000-00000000acfe', 1.5), ('00000000-0000-0000-0000-00000000acfe', 2.5);
-- :others
INSERT INTO customers SELECT 'globex', i, 'GLOBEX-SECRET ' || i, 'CH', 'GLOBEX-SECRET-CARD-' || i, ARRAY['GLOBEX-SECRET'],
  '{"n": "GLOBEX-SECRET"}' FROM generate_series(1, 40) i;
INSERT INTO orders SELECT 'globex', i, i % 9, 0, 'new', date '2024-01-01', 'GLOBEX-SECRET' FROM generate_series(1, 60) i;
INSERT INTO items SELECT 'globex', i, 1, 'GLOBEX-SECRET', 0, 0 FROM generate_series(1, 60) i;
INSERT INTO jobs SELECT 100 + i, 'globex', 'new', 'GLOBEX-SECRET' FROM generate_series(1, 9) i;
INSERT INTO jobs VALUES (110, 'globex', 'new', 'GLOBEX-SECRET (');  -- no regular expression
INSERT INTO "Odd Name" VALUES ('globex', 1, 'GLOBEX-SECRET'), (NULL, 3, 'GLOBEX-SECRET'), ('ACME', 4, 'GLOBEX-SECRET');
INSERT INTO events SELECT 'globex', date '2023-12-01' + i, 'GLOBEX-SECRET' FROM generate_series(1, 90) i;
INSERT INTO documents VALUES ('globex', 1, 'GLOBEX-SECRET');
INSERT INTO documents_archive VALUES ('globex', 3, 'GLOBEX-SECRET', '2020-01-01');
INSERT INTO meters VALUES ('00000000-0000-0000-0000-00000000dead', 666);
