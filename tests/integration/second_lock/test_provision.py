"""`tenantgate provision` on real servers: what the gateway's role then sees, and that nothing else has changed."""

from __future__ import annotations

import json

import psycopg
import pytest

from tests.integration.second_lock.conftest import KEY, PASSWORD, Shop, claim

ALL = "SELECT tenant_id, note FROM orders ORDER BY note"


def test_a_claim_opens_its_own_rows(shop: Shop) -> None:
    shop.provisioned()
    assert shop.as_claim(claim("acme"), ALL) == [("acme", "a"), ("acme", "b")]
    assert shop.as_claim(claim("globex"), ALL) == [("globex", "SECRET")]
    assert shop.as_claim(claim("seven", "1"), "SELECT value FROM meters") == [(10,)]
    assert shop.as_claim(claim("acme"), "SELECT tenant_id FROM events") == [("acme",)]
    assert shop.as_claim(claim("acme"), "SELECT count(*) FROM countries") == [(2,)]


def test_without_a_claim_there_are_no_rows(shop: Shop) -> None:
    shop.provisioned()
    with shop.connect() as connection:
        assert connection.execute("SELECT count(*) FROM orders").fetchone() == (0,)
        connection.execute("SELECT set_config('tenantgate.tenant', '', false)")
        assert connection.execute("SELECT count(*) FROM orders").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM meters").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM initech.orders").fetchone() == (0,)


def test_a_claim_that_is_not_proven_opens_nothing(shop: Shop) -> None:
    shop.provisioned()
    for key in (None, KEY[::-1]):
        assert shop.as_claim(claim("globex"), ALL, key=key) == []
    proof_of_acme = shop.as_claim(claim("acme"), "SELECT current_setting('tenantgate.tenant')")[0][0][:64]
    assert shop.as_claim(proof_of_acme + claim("globex"), ALL, key=None) == []


def test_without_a_key_the_claim_is_believed(shop: Shop) -> None:
    shop.configure("both", None)
    shop.provisioned()
    assert shop.as_claim(claim("globex"), ALL, key=None) == [("globex", "SECRET")]
    assert shop.as_claim(claim("seven", "1"), "SELECT value FROM meters", key=None) == [(10,)]


def test_a_key_that_changed_is_stored_and_one_that_came_closes_the_lock(shop: Shop) -> None:
    shop.configure("both", None)
    shop.provisioned()
    shop.configure("both", KEY)
    shop.provisioned()
    assert shop.as_claim(claim("acme"), ALL, key=None) == []
    assert len(shop.as_claim(claim("acme"), ALL)) == 2
    other = KEY[::-1]
    shop.configure("both", other)
    shop.provisioned()
    assert shop.as_claim(claim("acme"), ALL) == []
    assert len(shop.as_claim(claim("acme"), ALL, key=other)) == 2


def test_the_key_cannot_be_read(shop: Shop) -> None:
    shop.provisioned()
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        shop.as_claim(claim("acme"), "SELECT * FROM tenantgate.key")


def test_nothing_on_the_search_path_gets_into_the_function(shop: Shop) -> None:
    """A definer function that resolved a name or an operator by the caller's path would run the caller's code."""
    shop.provisioned()
    shop.superuser(
        f"CREATE SCHEMA evil; GRANT CREATE, USAGE ON SCHEMA evil TO {shop.role};"
        "CREATE FUNCTION evil.eq(text, text) RETURNS bool LANGUAGE sql AS 'SELECT true';"
        "CREATE OPERATOR evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.eq);"
        "CREATE FUNCTION evil.sha256(bytea) RETURNS bytea LANGUAGE sql AS $$SELECT ''::bytea$$;"
        "CREATE FUNCTION evil.substr(text, int, int) RETURNS text LANGUAGE sql AS $$SELECT ''$$"
    )
    with shop.connect() as connection:
        connection.execute("SET search_path = evil, pg_catalog, public")
        connection.execute("CREATE TEMP TABLE key (inner_pad bytea, outer_pad bytea)")
        connection.execute("SELECT set_config('tenantgate.tenant', repeat('0', 64) || 'tenant=globex', false)")
        assert connection.execute("SELECT count(*) FROM public.orders").fetchone() == (0,)


def test_rows_of_others_cannot_be_written(shop: Shop) -> None:
    shop.provisioned()
    for own, statement in (
        (claim("acme"), "INSERT INTO orders (tenant_id, note) VALUES ('globex', 'x') RETURNING 1"),
        (claim("acme"), "UPDATE orders SET tenant_id = 'globex' RETURNING 1"),
        (claim("seven", "1"), "INSERT INTO meters VALUES (3, 1) RETURNING 1"),
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
            shop.as_claim(own, statement)
    assert shop.as_claim(claim("acme"), "UPDATE orders SET note = 'x' WHERE tenant_id = 'globex' RETURNING 1") == []
    assert len(shop.as_claim(claim("acme"), "DELETE FROM orders RETURNING 1")) == 2
    assert shop.superuser("SELECT note FROM orders") == [("SECRET",)]


def test_another_policy_cannot_widen_it(shop: Shop) -> None:
    shop.provisioned()
    shop.superuser("CREATE POLICY careless ON orders TO PUBLIC USING (true)")
    assert len(shop.as_claim(claim("acme"), ALL)) == 2
    assert shop.provision()[1].count("nothing to do") == 2


def test_a_schema_of_ones_own_opens_to_its_tenant_alone(shop: Shop) -> None:
    shop.provisioned()
    assert shop.as_claim("schema=initech", "SELECT note FROM initech.orders") == [("i",)]
    assert shop.as_claim("schema=initech", "SELECT note FROM hooli.orders") == []
    assert shop.as_claim("schema=initech", ALL) == []
    assert shop.as_claim("tenant=initech", "SELECT note FROM initech.orders") == []


def test_privileges_are_for_what_is_classified(shop: Shop) -> None:
    shop.provisioned()
    refused = (
        "SELECT * FROM secrets", "SELECT * FROM events_1", "DELETE FROM countries", "TRUNCATE orders",
        "SELECT last_value FROM orders_id_seq",
    )  # fmt: skip
    for statement in refused:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            shop.as_claim(claim("acme"), statement)
    assert shop.as_claim(claim("acme"), "SELECT nextval('numbers')") == [(1,)]
    row = shop.superuser(
        f"SELECT rolsuper, rolbypassrls, rolinherit, rolcreatedb, rolcreaterole, rolreplication, rolcanlogin"
        f" FROM pg_roles WHERE rolname = '{shop.role}'"
    )
    assert row == [(False, False, False, False, False, False, True)]
    privileges = shop.server.execute(
        f"SELECT has_table_privilege('{shop.role}', 'stock', 'INSERT'),"
        f" has_sequence_privilege('{shop.role}', 'stock_id_seq', 'USAGE')", shop.umbrella
    )  # fmt: skip
    assert privileges == [(True, True)]
    assert shop.server.execute("SELECT count(*) FROM tenantgate.key", shop.umbrella) == [(0,)]  # nothing to tell apart


def test_code_of_the_owner_sees_nothing_from_a_session_of_the_gateway(shop: Shop) -> None:
    """FORCE, and a policy for direct users that looks at the session: a definer function or a view is no way around."""
    shop.superuser(f"GRANT CREATE ON SCHEMA public TO {shop.owner}")
    with shop.connect(shop.owner, "owner") as connection:
        connection.execute("CREATE VIEW everything AS SELECT * FROM orders")
        connection.execute(
            "CREATE FUNCTION spy() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM orders'"
        )
        shop.provisioned()
        assert connection.execute("SELECT count(*) FROM orders").fetchone() == (3,)
        assert connection.execute("SELECT spy()").fetchone() == (3,)
        assert connection.execute("UPDATE orders SET note = note").rowcount == 3
    shop.superuser(f"GRANT SELECT ON everything TO {shop.role}")
    assert shop.as_claim(claim("acme"), "SELECT spy(), (SELECT count(*) FROM everything)") == [(0, 0)]


def test_those_who_used_a_table_before_go_on(shop: Shop) -> None:
    other = f"{shop.owner}_reports"
    shop.superuser(f"CREATE ROLE {other} LOGIN PASSWORD 'reports'; GRANT SELECT ON orders TO {other}")
    try:
        shop.provisioned()
        with shop.connect(other, "reports") as connection:
            assert connection.execute("SELECT count(*) FROM orders").fetchone() == (3,)
    finally:
        shop.provision("--revert")
        shop.superuser(f"DROP OWNED BY {other}; DROP ROLE {other}")


def test_policies_that_stood_there_before_still_bind_the_others(shop: Shop) -> None:
    shop.superuser("ALTER TABLE orders ENABLE ROW LEVEL SECURITY; ALTER TABLE orders FORCE ROW LEVEL SECURITY")
    shop.provisioned()
    shop.provisioned()
    with shop.connect(shop.owner, "owner") as connection:
        assert connection.execute("SELECT count(*) FROM orders").fetchone() == (0,)
    assert len(shop.as_claim(claim("acme"), ALL)) == 2


def test_a_second_run_has_nothing_to_do(shop: Shop) -> None:
    shop.provisioned()
    before = shop.state()
    status, out, _ = shop.provision()
    assert status == 0
    assert out.count("nothing to do") == 2, out
    assert shop.state() == before


def test_what_was_taken_off_is_put_back(shop: Shop) -> None:
    shop.provisioned()
    shop.superuser("DROP POLICY tenantgate_tenant ON orders; ALTER TABLE meters DISABLE ROW LEVEL SECURITY")
    shop.superuser("ALTER POLICY tenantgate_tenant ON events USING (true)")
    shop.provisioned()
    assert len(shop.as_claim(claim("acme"), ALL)) == 2
    assert shop.as_claim(claim("acme"), "SELECT tenant_id FROM events") == [("acme",)]
    assert shop.as_claim(claim("seven", "2"), "SELECT value FROM meters") == [(20,)]


def test_a_dry_run_shows_the_sql_and_changes_nothing(shop: Shop) -> None:
    before = shop.state()
    status, out, _ = shop.provision("--dry-run")
    assert status == 0
    assert shop.state() == before
    assert "CREATE POLICY" in out
    for secret in ("SCRAM-SHA-256", "decode(", KEY, PASSWORD):
        assert secret not in out
    status, out, _ = shop.provision("--dry-run", "--json")
    databases = json.loads(out)["databases"]
    assert [entry["database"] for entry in databases] == [shop.database, shop.umbrella]
    assert all(step["why"] for entry in databases for step in entry["steps"])


@pytest.mark.parametrize("enforcement", ["both", "native", "rewrite"])
def test_revert_undoes_all_of_it(shop: Shop, enforcement: str) -> None:
    shop.configure(enforcement, KEY)
    before = shop.state()
    shop.provisioned()
    assert shop.state() != before
    status, _, err = shop.provision("--revert")
    assert status == 0, err
    assert shop.state() == before
    assert "nothing to do" in shop.provision("--revert")[1]


def test_revert_leaves_what_was_there_before(shop: Shop) -> None:
    shop.superuser(
        f"CREATE ROLE {shop.role} LOGIN NOINHERIT PASSWORD '{'x' * 12}'; GRANT SELECT ON orders TO {shop.role};"
        "ALTER TABLE meters ENABLE ROW LEVEL SECURITY"
    )
    before = shop.state()
    shop.provisioned()
    assert shop.provision("--revert")[0] == 0
    assert shop.state() == before


def test_rewrite_needs_no_row_level_security(shop: Shop) -> None:
    shop.configure("rewrite", None)
    status, out, err = shop.provision()
    assert (status, "POLICY" in out, "rewrite" in err) == (0, False, True)
    assert shop.as_claim("", "SELECT count(*) FROM orders") == [(3,)]


@pytest.mark.parametrize("power", ["SUPERUSER", "BYPASSRLS", "CREATEROLE", "REPLICATION"])
def test_a_role_with_powers_is_refused(shop: Shop, power: str) -> None:
    shop.superuser(f"CREATE ROLE {shop.role} LOGIN {power}")
    before = shop.state()
    status, _, err = shop.provision()
    assert (status, power in err.upper()) == (2, True), err
    assert shop.state() == before


def test_a_role_that_may_become_another_is_refused(shop: Shop) -> None:
    shop.superuser(f"CREATE ROLE {shop.role} LOGIN NOINHERIT; GRANT {shop.owner} TO {shop.role}")
    status, _, err = shop.provision()
    assert status == 2
    assert shop.owner in err


def test_a_lock_that_somebody_else_laid_out_is_refused(shop: Shop) -> None:
    shop.superuser(f"GRANT CREATE ON DATABASE {shop.database} TO {shop.owner}")
    with shop.connect(shop.owner, "owner") as connection:
        connection.execute("CREATE SCHEMA tenantgate")
        connection.execute("CREATE TABLE tenantgate.made (kind text, schema_name text, object_name text, detail text)")
        connection.execute("INSERT INTO tenantgate.made VALUES ('policy', 'public', 'orders', 'careful')")
    for arguments in ((), ("--revert",)):
        status, _, err = shop.provision(*arguments)
        assert status == 2
        assert shop.owner in err
    shop.superuser("DROP SCHEMA tenantgate CASCADE")


def test_a_lock_of_another_role_is_not_taken_over(shop: Shop) -> None:
    shop.provisioned()
    first, shop.role = shop.role, f"{shop.role}_too"
    shop.configure("both", KEY)
    status, _, err = shop.provision()
    assert status == 2
    assert first in err
    shop.role = first
    shop.configure("both", KEY)
    assert len(shop.as_claim(claim("acme"), ALL)) == 2


def test_what_fails_leaves_its_database_as_it_was(shop: Shop) -> None:
    """Half a lock would be worse than none: all of a database or nothing."""
    shop.superuser(
        "CREATE FUNCTION boom() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'no policies today'; END$$;"
        "CREATE EVENT TRIGGER no_policies ON ddl_command_start WHEN TAG IN ('CREATE POLICY') EXECUTE FUNCTION boom()"
    )
    before = shop.state()
    status, _, err = shop.provision()
    assert status == 2
    assert "no policies today" in err
    assert "CREATE POLICY" in err
    assert shop.state() == before


def test_a_wrong_administrator_is_told_so(shop: Shop) -> None:
    for url in ("mysql://x", "postgresql://postgres:wrong@127.0.0.1", "postgresql://u@h:port"):
        status, out, err = shop.command("provision", "--admin-url", url)
        assert (status, out) == (2, "")
        assert err
