-- Two tenants in shared tables; what is globex's says so. `saved` has the rows as they were.
CREATE SCHEMA saved;
CREATE SCHEMA evil;
CREATE EXTENSION IF NOT EXISTS citext;

CREATE TABLE public.orders (
    tenant_id text NOT NULL, id int NOT NULL, total numeric(12,2), note text, doc jsonb, born timestamptz DEFAULT '2024-01-01',
    PRIMARY KEY (tenant_id, id)
);
CREATE TABLE public.items (
    tenant_id text NOT NULL, id int NOT NULL, order_id int, label text, PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, order_id) REFERENCES public.orders (tenant_id, id) ON DELETE CASCADE
);
CREATE TABLE public.people (tenant_id text NOT NULL, id int NOT NULL, name text, card text, PRIMARY KEY (tenant_id, id));
CREATE TABLE public.tickets (id int PRIMARY KEY, tenant_id text NOT NULL, body text);
CREATE TABLE public."Order" (tenant_id text NOT NULL, "Id" int, "select" text);
CREATE TABLE public.events (tenant_id text NOT NULL, id int, kind text) PARTITION BY LIST (tenant_id);
CREATE TABLE public.events_acme PARTITION OF public.events FOR VALUES IN ('acme');
CREATE TABLE public.events_globex PARTITION OF public.events FOR VALUES IN ('globex');
CREATE TABLE public.padded (tenant_id char(8) NOT NULL, id int, note text);
CREATE TABLE public.folded (tenant_id citext NOT NULL, id int, note text);
CREATE TABLE public.ledger (tenant_id numeric NOT NULL, id int, note text);
CREATE TABLE public.countries (code text PRIMARY KEY, name text);
CREATE TABLE public.unlisted (id int, payload text);
CREATE TABLE public.forbidden (id int, payload text);
CREATE SEQUENCE public.numbers;
CREATE TYPE public.mood AS ENUM ('glad', 'sad');
CREATE DOMAIN public.loud AS text CHECK (VALUE <> 'quiet');
CREATE VIEW public.all_notes AS SELECT tenant_id, note FROM public.orders;
CREATE MATERIALIZED VIEW public.totals AS SELECT tenant_id, max(note) AS note FROM public.orders GROUP BY tenant_id;

INSERT INTO public.orders (tenant_id, id, total, note, doc) VALUES
    ('acme', 1, 10, 'ours 1', '{"a": 1}'), ('acme', 2, 20, 'ours 2', '{"a": 2}'), ('acme', 3, 30, NULL, NULL),
    ('globex', 1, 1001, 'GLOBEX-SECRET-1', '{"a": "GLOBEX-SECRET-1"}'), ('globex', 2, 1002, 'GLOBEX-SECRET-2', '{"b": 1}'),
    ('globex', 77, 1077, 'GLOBEX-SECRET-77', NULL), ('ACME', 5, 5, 'GLOBEX-SECRET-UPPER', NULL),
    ('acme ', 6, 6, 'GLOBEX-SECRET-BLANK', NULL), ('', 7, 7, 'GLOBEX-SECRET-EMPTY', NULL), ('аcme', 8, 8, 'GLOBEX-SECRET-CYRILLIC', NULL);
INSERT INTO public.items VALUES ('acme', 1, 1, 'ours'), ('globex', 1, 1, 'GLOBEX-SECRET-ITEM'), ('globex', 2, 77, 'GLOBEX-SECRET-ITEM');
INSERT INTO public.people VALUES ('acme', 1, 'Ann', '4000-1111'), ('acme', 2, 'Bob', '4000-2222'), ('globex', 1, 'GLOBEX-SECRET-GIL', 'GLOBEX-SECRET-CARD');
INSERT INTO public.tickets VALUES (1, 'acme', 'ours'), (1000, 'globex', 'GLOBEX-SECRET-TICKET');
INSERT INTO public."Order" VALUES ('acme', 1, 'ours'), ('globex', 1, 'GLOBEX-SECRET-QUOTED');
INSERT INTO public.events VALUES ('acme', 1, 'ours'), ('globex', 1, 'GLOBEX-SECRET-EVENT');
INSERT INTO public.padded VALUES ('acme', 1, 'ours'), ('globex', 1, 'GLOBEX-SECRET-PADDED');
INSERT INTO public.folded VALUES ('acme', 1, 'ours'), ('ACME', 2, 'GLOBEX-SECRET-FOLDED');
INSERT INTO public.ledger VALUES (1, 1, 'ours'), (2, 1, 'GLOBEX-SECRET-LEDGER');
INSERT INTO public.countries VALUES ('CH', 'Switzerland'), ('FR', 'France');
INSERT INTO public.unlisted VALUES (1, 'GLOBEX-SECRET-UNLISTED');
INSERT INTO public.forbidden VALUES (1, 'GLOBEX-SECRET-FORBIDDEN');

CREATE FUNCTION public.peek(int) RETURNS text LANGUAGE sql STABLE AS 'SELECT note FROM public.orders WHERE tenant_id = ''globex'' AND id = $1';
CREATE FUNCTION public.note(public.people) RETURNS text LANGUAGE sql STABLE AS 'SELECT public.peek(1)';
CREATE FUNCTION public.peek_text(text, text) RETURNS boolean LANGUAGE sql STABLE AS 'SELECT true';
CREATE OPERATOR public.=== (LEFTARG = text, RIGHTARG = text, FUNCTION = public.peek_text);
CREATE FUNCTION evil.equal(text, text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
CREATE OPERATOR evil.== (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.equal);
CREATE FUNCTION public.peek_state(text, text) RETURNS text LANGUAGE sql STABLE AS 'SELECT public.peek(1)';
CREATE AGGREGATE public.peek_agg (text) (SFUNC = public.peek_state, STYPE = text);

ANALYZE;
DO $$ DECLARE t text; BEGIN
    FOREACH t IN ARRAY ARRAY['orders', 'items', 'people', 'tickets', '"Order"', 'events', 'padded', 'folded', 'ledger', 'countries', 'unlisted', 'forbidden']
    LOOP EXECUTE format('CREATE TABLE saved.%s AS TABLE public.%s', t, t); END LOOP;
END $$;
GRANT USAGE ON SCHEMA public, evil TO gateway;
GRANT CREATE, TEMPORARY ON DATABASE catalogue TO gateway;
GRANT ALL ON ALL TABLES IN SCHEMA public TO gateway;
GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO gateway;
