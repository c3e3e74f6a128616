"""Claims and their proofs; the server's way of writing a policy's condition is recognised, another condition is not."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.model import Isolation, Tenant
from policy.second_lock import PROOF_CHARACTERS, claim_of, key_pads, setting_value
from policy.sql.catalog import Column
from policy.sql.row_security import direct_expression, is_lock_of, same_expression, schema_expression

TEXT = Column("tenant_id", 25, "text", cast_type="pg_catalog.text")
NUMBER = Column("account", 23, "integer", cast_type="pg_catalog.int4")
KEYS = st.binary(min_size=32, max_size=100)


def tenant(isolation: Isolation, **fields: str) -> Tenant:
    return Tenant("acme", isolation, "main", fields.pop("value", "acme"), **fields)  # type: ignore[arg-type]


def test_a_claim_says_in_which_way_a_tenant_is_kept_apart() -> None:
    assert claim_of(tenant(Isolation.SHARED, value="7")) == "tenant=7"
    assert claim_of(tenant(Isolation.SCHEMA, schema="acme")) == "schema=acme"
    assert claim_of(tenant(Isolation.DATABASE, database="acme")) == ""


@given(KEYS, st.text(min_size=1))
def test_the_database_can_check_a_proof_with_sha256_alone(key: bytes, claim: str) -> None:
    inner, outer = key_pads(key)
    proof = hashlib.sha256(outer + hashlib.sha256(inner + claim.encode()).digest()).hexdigest()
    assert setting_value(claim, key) == proof + claim
    assert len(proof) == PROOF_CHARACTERS


@given(KEYS, KEYS, st.text(min_size=1), st.text(min_size=1))
def test_proofs_differ_with_key_and_claim(key: bytes, other_key: bytes, claim: str, other: str) -> None:
    def proof(key: bytes, claim: str) -> str:
        return setting_value(claim, key)[:PROOF_CHARACTERS]

    assert (proof(key, claim) == proof(other_key, claim)) is (key == other_key)
    assert (proof(key, claim) == proof(key, other)) is (claim == other)


def test_without_a_key_or_a_claim_there_is_no_proof() -> None:
    assert setting_value("tenant=acme", None) == "tenant=acme"
    assert setting_value("", b"k" * 32) == ""


@pytest.mark.parametrize(
    ("column", "condition"),
    [
        (TEXT, "(tenant_id = ( SELECT tenantgate.proven('tenant'::text) AS proven))"),
        (Column("tenant_id", 1043, "character varying", cast_type='pg_catalog."varchar"'),
         "((tenant_id)::text = ( SELECT tenantgate.proven('tenant'::text) AS proven))"),
        (NUMBER, "(account = ( SELECT (tenantgate.proven('tenant'::text))::integer AS proven))"),
    ],
)  # fmt: skip
def test_the_servers_spelling_of_the_test_is_recognised(column: Column, condition: str) -> None:
    assert is_lock_of(condition, column)


@pytest.mark.parametrize(
    "condition",
    [
        "true",
        "(id = ( SELECT tenantgate.proven('tenant'::text) AS proven))",
        "(tenant_id <> ( SELECT tenantgate.proven('tenant'::text) AS proven))",
        "(tenant_id OPERATOR(public.=) ( SELECT tenantgate.proven('tenant'::text) AS proven))",
        "(tenant_id = ( SELECT tenantgate.proven('schema'::text) AS proven))",
        "(tenant_id = ( SELECT public.proven('tenant'::text) AS proven))",
        "((tenant_id = ( SELECT tenantgate.proven('tenant'::text) AS proven)) OR true)",
        "(tenant_id = tenant_id)",
        "no ( condition",
    ],
)
def test_anything_else_is_no_lock(condition: str) -> None:
    assert not is_lock_of(condition, TEXT)


def test_names_with_quotes_stay_names() -> None:
    assert same_expression(
        schema_expression("o'b\\x"), "(( SELECT tenantgate.proven('schema'::text)) = 'o''b\\x'::text)"
    )
    assert same_expression(direct_expression('ga"te'), "(SESSION_USER <> 'ga\"te'::name)")
    assert not same_expression(direct_expression("gate"), "(CURRENT_USER <> 'gate'::name)")
