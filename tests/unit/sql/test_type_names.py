"""How a cast to the tenant column's type is written, and which types are used at all."""

from __future__ import annotations

import pytest

from policy.sql.catalog import Column
from policy.sql.type_names import cast_name, is_text, keeps_apart


@pytest.mark.parametrize(
    ("type_name", "cast_type", "expected"),
    [
        ("character", "", "pg_catalog.bpchar"),
        ("character", "pg_catalog.bpchar", "pg_catalog.bpchar"),
        ("bit", "", "pg_catalog.varbit"),
        ("character[]", "", "pg_catalog.bpchar[]"),
        ("public.one_letter", "pg_catalog.bpchar", "pg_catalog.bpchar"),
        ("integer", "", "integer"),
        ('"Odd".mood', '"Odd".mood', '"Odd".mood'),
    ],
)
def test_a_cast_never_has_a_length(type_name: str, cast_type: str, expected: str) -> None:
    assert cast_name(Column("owner", 1, type_name, cast_type=cast_type)) == expected


def test_text_needs_no_cast() -> None:
    assert is_text(Column("owner", 1, "character varying"))
    assert is_text(Column("owner", 1, "public.code", cast_type="pg_catalog.text"))
    assert not is_text(Column("owner", 1, "character"))
    assert not is_text(Column("owner", 1, "text", cast_type="public.text"))


@pytest.mark.parametrize("cast_type", ['pg_catalog."char"', "pg_catalog.name", "pg_catalog._date", "pg_catalog.float4"])
def test_types_that_cut_round_or_depend_on_settings_are_not_used(cast_type: str) -> None:
    assert not keeps_apart(Column("owner", 1, "x", cast_type=cast_type))


@pytest.mark.parametrize("cast_type", ["pg_catalog.bpchar", 'pg_catalog."varchar"', "pg_catalog._int4", "public.mood"])
def test_types_that_take_a_value_as_it_is_are_used(cast_type: str) -> None:
    assert keeps_apart(Column("owner", 1, "x", cast_type=cast_type))
