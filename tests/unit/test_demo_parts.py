"""The demo's parts: the business is the same everywhere and whole in itself, secrets are kept, wrong is noticed."""

from __future__ import annotations

import hashlib
import subprocess
from decimal import Decimal
from pathlib import Path

import pytest

from admin.demo.dataset import BUSINESSES, COLUMNS, COUNTRIES, Business, rows_of
from admin.demo.embedded import EmbeddedError, copy_programs, find_binaries
from admin.demo.facts import Facts
from admin.demo.keys import certificate, signing_key, write_private
from admin.demo.people import ALICE
from admin.demo.policy import TARGET, policy_text
from admin.demo.tour import STEPS, Outcome
from admin.demo.trail import compare
from policy.document import parse_policy


def test_there_are_more_than_20000_rows_and_they_do_not_change() -> None:
    everything = [rows_of(business) for business in BUSINESSES]
    assert sum(rows.count for rows in everything) + len(COUNTRIES) >= 20_000
    digest = hashlib.sha256(repr([rows.tables for rows in everything]).encode()).hexdigest()
    again = hashlib.sha256(repr([rows_of(business).tables for business in BUSINESSES]).encode()).hexdigest()
    assert digest == again


@pytest.mark.parametrize("business", BUSINESSES, ids=lambda business: business.id)
def test_totals_and_references_fit(business: Business) -> None:
    tables = rows_of(business).tables
    assert all(len(row) == len(COLUMNS[table]) for table, rows in tables.items() for row in rows)
    customers = {row[0] for row in tables["customers"]}
    assert {row[1] for row in tables["orders"]} <= customers
    assert {row[1] for row in tables["notes"]} <= customers
    assert {row[2] for row in tables["order_items"]} <= {row[0] for row in tables["products"]}
    sums: dict[object, Decimal] = {}
    for order_id, _, _, quantity, price in tables["order_items"]:
        sums[order_id] = sums.get(order_id, Decimal(0)) + Decimal(str(quantity)) * Decimal(str(price))
    assert {row[0]: row[4] for row in tables["orders"]} == sums


def test_cards_are_in_the_test_range_and_have_a_valid_check_digit() -> None:
    for business in BUSINESSES:
        for row in rows_of(business).tables["customers"][:50]:
            digits = [int(letter) for letter in str(row[4]).replace(" ", "")]
            doubled = [sum(divmod(d * 2, 10)) if n % 2 == 0 else d for n, d in enumerate(digits)]
            assert digits[:6] == [4, 0, 0, 0, 0, 0]
            assert sum(doubled) % 10 == 0


def test_the_policy_is_right_and_lists_every_table() -> None:
    snapshot = parse_policy(policy_text(), version=1, targets=[TARGET], databases={TARGET: "shop"})
    assert {rule.name for rule in snapshot.tables[TARGET]} == {*COLUMNS, "countries"}
    assert {tenant.isolation.value for tenant in snapshot.tenants.values()} == {"shared", "schema", "database"}


def test_private_files_are_private_from_the_start(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    write_private(path, b"one")
    write_private(path, b"two")
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["secret"]


def test_keys_are_kept_and_a_broken_one_is_made_anew(tmp_path: Path) -> None:
    private, public = tmp_path / "signing.pem", tmp_path / "signing.pub.pem"
    first = signing_key(private, public)
    assert signing_key(private, public).private_bytes_raw() == first.private_bytes_raw()
    private.write_bytes(b"-----BEGIN nonsense")
    assert signing_key(private, public).private_bytes_raw() != first.private_bytes_raw()
    assert private.stat().st_mode & 0o777 == 0o600

    chain, key = tmp_path / "server.crt", tmp_path / "server.key"
    certificate(chain, key)
    before = chain.read_bytes()
    certificate(chain, key)
    assert chain.read_bytes() == before
    key.write_bytes(private.read_bytes())  # not the certificate's
    certificate(chain, key)
    assert chain.read_bytes() != before
    assert key.stat().st_mode & 0o777 == 0o600


def test_pg_bin_must_hold_the_programs(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedError, match="initdb and no postgres"):
        find_binaries(tmp_path)


def test_a_wrong_answer_is_noticed() -> None:
    """Each step's check must be able to fail."""
    facts = Facts(dict.fromkeys(("acme", "globex", "initech", "umbrella"), (3, 2, 1)), (), 1, 1)
    for step in STEPS:
        acts = [(act, statement) for act in step.acts for statement in act.statements or ("",)]
        leaky = [Outcome(act.person, text, ("n",), (("globex", 99),), "SELECT 1") for act, text in acts]
        broken = [Outcome(act.person, text, sqlstate="XX000", error="internal error") for act, text in acts]
        assert step.check(leaky, facts) is not None, step.name
        assert step.check(broken, facts) is not None, step.name


def test_audit_events_that_differ_from_the_tour_are_noticed() -> None:
    outcomes = [Outcome(ALICE, "SELECT 1"), Outcome(ALICE, "SELECT 2", error="no")]
    events = [
        {"event": "statement", "subject": "alice", "tenant": "acme", "statement": text, "outcome": outcome}
        for text, outcome in (("SELECT 1", "ok"), ("SELECT 2", "refused"))
    ]
    assert compare(events, outcomes) is None
    assert compare(events[:1], outcomes) is not None
    assert compare([*events, events[0]], outcomes) is not None
    assert compare([events[1], events[0]], outcomes) is not None
    assert compare([{**events[0], "tenant": "globex"}, events[1]], outcomes) is not None
    assert compare([{**events[0], "outcome": "refused"}, events[1]], outcomes) is not None


def test_programs_run_where_they_were_copied_to(tmp_path: Path) -> None:
    """As root where user namespaces are barred the server runs as `nobody`, who cannot enter a private venv."""
    found = find_binaries()
    copy_programs(found, tmp_path)
    copied = tmp_path / found.relative_to(found.parents[2])
    for program in ("initdb", "postgres"):
        done = subprocess.run([copied / program, "--version"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "PostgreSQL" in done.stdout
