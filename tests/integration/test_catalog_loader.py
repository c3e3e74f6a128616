"""The catalog as a low-privilege role reads it from real servers, the oldest and the newest at hand."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from policy.sql.catalog import Catalog, Column, Relation, UserCast, UserFunction, UserOperator
from tests.harness.postgres import PostgresServer
from tests.harness.simple_query import load_catalog_from

SCHEMA = """
CREATE ROLE catalog_reader LOGIN PASSWORD 'reader';
REVOKE ALL ON SCHEMA public FROM public;
CREATE FUNCTION public.next_code() RETURNS text LANGUAGE sql AS $$ SELECT 'x' $$;
CREATE FUNCTION public.lower(integer) RETURNS text LANGUAGE sql AS $$ SELECT 'x' $$;
CREATE FUNCTION public.same(text, integer) RETURNS boolean LANGUAGE sql AS $$ SELECT true $$;
CREATE OPERATOR public.?~> (LEFTARG = text, RIGHTARG = integer, FUNCTION = public.same);
CREATE TYPE public.pair AS (a text, b integer);
CREATE FUNCTION public.pair_text(public.pair) RETURNS text LANGUAGE sql AS $$ SELECT 'x' $$;
CREATE CAST (public.pair AS text) WITH FUNCTION public.pair_text(public.pair);
CREATE TYPE public.pairs AS (first public.pair, rest public.pair[]);
CREATE EXTENSION citext;
CREATE DOMAIN public.code AS text DEFAULT 'none';
CREATE SCHEMA "Odd ""schema";
CREATE TABLE public.orders (
  tenant_id text NOT NULL, gone integer, id bigint GENERATED ALWAYS AS IDENTITY, code public.code,
  "Total" numeric(12,2) DEFAULT 0, twice numeric GENERATED ALWAYS AS ("Total" * 2) STORED,
  label varchar(9) DEFAULT public.next_code(), PRIMARY KEY (tenant_id, id),
  CONSTRAINT one_code UNIQUE (code) INCLUDE (label));
ALTER TABLE public.orders DROP COLUMN gone;
CREATE UNIQUE INDEX orders_lower ON public.orders (tenant_id, pg_catalog.lower(label));
CREATE INDEX orders_plain ON public.orders (label);
CREATE FUNCTION public.noted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER noted AFTER INSERT ON public.orders FOR EACH ROW EXECUTE FUNCTION public.noted();
CREATE TABLE public.lines (tenant_id text, order_id bigint,
  FOREIGN KEY (tenant_id, order_id) REFERENCES public.orders ON DELETE CASCADE ON UPDATE RESTRICT);
CREATE RULE no_delete AS ON DELETE TO public.lines DO INSTEAD NOTHING;
CREATE TABLE public.events (tenant_id text, at date) PARTITION BY RANGE (at);
CREATE TABLE "Odd ""schema"."Part 1" PARTITION OF public.events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE VIEW public.v AS SELECT id FROM public.orders;
CREATE MATERIALIZED VIEW public.m AS SELECT id FROM public.orders;
CREATE SEQUENCE public.s;
"""


@pytest.fixture(scope="module", params=["postgres", "postgres_tls"])
def catalog(request: pytest.FixtureRequest) -> Iterator[Catalog]:
    server: PostgresServer = request.getfixturevalue(request.param)
    server.create_database("catalog")
    server.execute(SCHEMA, "catalog")
    conninfo = server.conninfo("catalog", user="catalog_reader", password="reader")
    yield asyncio.run(load_catalog_from(conninfo, version=7))
    server.drop_database("catalog")
    server.execute("DROP ROLE catalog_reader")


def _column(relation: Relation, name: str) -> Column:
    return next(column for column in relation.columns if column.name == name)


def test_identity_of_the_catalog(catalog: Catalog) -> None:
    assert (catalog.version, catalog.database) == (7, "catalog")
    assert 130000 <= catalog.server_version < 200000
    assert {"public", 'Odd "schema', "pg_catalog"} <= catalog.schemas
    assert "pg_toast" not in catalog.schemas


def test_relations_of_every_kind_and_none_of_the_servers(catalog: Catalog) -> None:
    assert {name: relation.kind for name, relation in catalog.relations.items()} == {
        ("public", "orders"): "r",
        ("public", "lines"): "r",
        ("public", "events"): "p",
        ('Odd "schema', "Part 1"): "r",
        ("public", "v"): "v",
        ("public", "m"): "m",
        ("public", "s"): "S",
        ("public", "orders_id_seq"): "S",
        ("public", "pair"): "c",
        ("public", "pairs"): "c",
    }


def test_columns_in_order_without_dropped_ones(catalog: Catalog) -> None:
    orders = catalog.relations["public", "orders"]
    assert [column.name for column in orders.columns] == ["tenant_id", "id", "code", "Total", "twice", "label"]
    assert _column(orders, "tenant_id") == Column(
        "tenant_id", 25, "text", not_null=True, cast_type="pg_catalog.text", declared_type="pg_catalog.text"
    )
    assert _column(orders, "id").generated == "identity_always"
    assert _column(orders, "twice").generated == "stored"
    total = _column(orders, "Total")
    assert (total.type_name, total.cast_type) == ("numeric", 'pg_catalog."numeric"')
    assert total.declared_type == "numeric(12,2)"
    assert _column(orders, "label").default_sql == "public.next_code()"


def test_a_domains_default_counts_as_the_columns(catalog: Catalog) -> None:
    assert _column(catalog.relations["public", "orders"], "code").default_sql == "'none'::text"


def test_unique_keys_and_their_names(catalog: Catalog) -> None:
    orders = catalog.relations["public", "orders"]
    assert orders.primary_key == ("tenant_id", "id")
    assert dict(zip(orders.unique_key_names, orders.unique_keys, strict=True)) == {
        "orders_pkey": ("tenant_id", "id"),
        "one_code": ("code",),
        "orders_lower": (),
    }


def test_foreign_keys_by_the_table_they_refer_to(catalog: Catalog) -> None:
    (key,) = catalog.relations["public", "orders"].referenced_by
    assert (key.child, key.columns) == (("public", "lines"), ("tenant_id", "order_id"))
    assert (key.parent, key.parent_columns) == (("public", "orders"), ("tenant_id", "id"))
    assert (key.on_delete, key.on_update, key.set_columns) == ("cascade", "restrict", ())
    assert catalog.relations["public", "lines"].referenced_by == ()


def test_inheritance_triggers_and_rules(catalog: Catalog) -> None:
    events, part = catalog.relations["public", "events"], catalog.relations['Odd "schema', "Part 1"]
    assert (events.has_children, events.parents) == (True, ())
    assert (part.has_children, part.parents) == (False, (("public", "events"),))
    orders, lines, view = (catalog.relations["public", name] for name in ("orders", "lines", "v"))
    assert (orders.has_triggers, lines.has_triggers) == (True, False)  # a foreign key's triggers are not user code
    assert (orders.has_rules, lines.has_rules, view.has_rules) == (False, True, False)


def test_code_that_users_brought(catalog: Catalog) -> None:
    assert {"next_code", "lower", "pair_text", "noted"} <= catalog.user_functions
    assert "upper" not in catalog.user_functions
    assert {"?~>", "="} <= catalog.user_operators
    assert "||" not in catalog.user_operators
    assert {"pair", "code"} <= catalog.user_types
    assert "text" not in catalog.user_types
    assert ("public.pair", "text") in catalog.user_casts


def test_details_of_user_code_and_its_extension(catalog: Catalog) -> None:
    assert UserFunction("public", "next_code") in catalog.functions
    assert UserFunction("public", "max", "citext") in catalog.functions
    assert UserOperator("public", "?~>") in catalog.operators
    assert UserOperator("public", "=", "citext", "citext", "citext") in catalog.operators
    assert UserOperator("public", "~", "citext", "", "citext") in catalog.operators
    assert UserCast("pair", "text", True, False, "explicit") in catalog.casts
    assert UserCast("citext", "text", True, False, "implicit", False, "citext") in catalog.casts
    assert UserCast("bool", "citext", False, True, "assignment", True, "citext") in catalog.casts
    parts = {each.name: each.parts for each in catalog.types}
    assert (parts["pairs"], parts["_pair"], parts["code"]) == (("_pair", "pair"), ("pair",), ())
    assert parts["orders"] == ("code",)


def test_built_in_and_leakproof_functions(catalog: Catalog) -> None:
    assert {"now", "lower", "texteq", "pg_get_expr"} <= catalog.builtin_functions
    assert "next_code" not in catalog.builtin_functions
    assert "texteq" in catalog.leakproof_functions
    assert not {"lower", "has_schema_privilege", "length"} & catalog.leakproof_functions


def test_columns_of_the_servers_own_relations(catalog: Catalog) -> None:
    assert catalog.system_columns["pg_catalog.pg_class"][:2] == ("oid", "relname")
    assert "table_name" in catalog.system_columns["information_schema.tables"]
