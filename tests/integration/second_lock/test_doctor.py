"""`tenantgate doctor` on real servers: each leak is found, its SQL mends it, and a sound target has none."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.second_lock.conftest import KEY, Shop

SOUND = """
DROP TABLE meters, events;
CREATE TABLE meters (account integer NOT NULL, id int, value int, PRIMARY KEY (account, id));
CREATE TABLE events (tenant_id varchar(20) NOT NULL, at date NOT NULL) PARTITION BY RANGE (at);
CREATE INDEX ON events (tenant_id);
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
"""
# What is done to a sound, provisioned target (as SQL of the superuser, {role} and {owner} filled in), and what is found.
# ruff: noqa: E501
LEAKS = {
    "superuser": ("ALTER ROLE {role} SUPERUSER", "critical", "role-superuser", "role {role}"),
    "bypassrls": ("ALTER ROLE {role} BYPASSRLS", "critical", "role-bypassrls", "role {role}"),
    "createrole": ("ALTER ROLE {role} CREATEROLE", "critical", "role-createrole", "role {role}"),
    "member of an owner": ("GRANT {owner} TO {role}", "critical", "role-member", "membership of {owner}"),
    "member of readers": ("GRANT pg_read_all_data TO {role}", "high", "role-member", "membership of pg_read_all_data"),
    "owner": ("ALTER TABLE orders OWNER TO {role}", "critical", "owner", "public.orders"),
    "truncate": ("GRANT TRUNCATE ON orders TO {role}", "high", "privilege", "public.orders"),
    "denied table": ("GRANT SELECT ON secrets TO PUBLIC", "medium", "privilege", "public.secrets"),
    "one column": ("GRANT SELECT (body) ON secrets TO {role}", "medium", "privilege", "public.secrets"),
    "create": ("GRANT CREATE ON SCHEMA public TO PUBLIC", "medium", "schema-create", "schema public"),
    "row security off": ("ALTER TABLE orders DISABLE ROW LEVEL SECURITY", "critical", "lock-missing", "public.orders"),
    "not forced": ("ALTER TABLE orders NO FORCE ROW LEVEL SECURITY", "critical", "lock-outdated", "public.orders"),
    "no policy": ("DROP POLICY tenantgate_tenant ON orders", "critical", "lock-missing", "public.orders"),
    "another test": ("ALTER POLICY tenantgate_tenant ON orders USING (true)", "critical", "lock-outdated", "public.orders"),
    "own schema": ("ALTER TABLE hooli.orders DISABLE ROW LEVEL SECURITY", "critical", "lock-missing", "hooli.orders"),
    "null": ("ALTER TABLE meters DROP CONSTRAINT meters_pkey; ALTER TABLE meters ALTER account DROP NOT NULL;"
             "CREATE INDEX ON meters (account)", "medium", "tenant-column-null", "public.meters.account"),
    "no index": ("ALTER TABLE meters DROP CONSTRAINT meters_pkey", "medium", "tenant-column-index", "public.meters.account"),
    "unique": ("ALTER TABLE orders ADD CONSTRAINT notes UNIQUE (note)", "high", "unique-key", "public.orders key notes"),
    "primary key": ("ALTER TABLE orders DROP CONSTRAINT orders_pkey, ADD CONSTRAINT pk PRIMARY KEY (id)", "high",
                    "unique-key", "public.orders key pk"),
    "expression": ("CREATE UNIQUE INDEX lower_note ON orders (lower(note))", "high", "unique-key",
                   "public.orders index lower_note"),
    "key order": ("ALTER TABLE orders ADD CONSTRAINT back UNIQUE (note, tenant_id)", "low", "unique-key-order",
                  "public.orders key back"),
    "foreign key": ("CREATE UNIQUE INDEX u ON orders (id); ALTER TABLE orders ADD parent int, ADD CONSTRAINT fk FOREIGN KEY (parent)"
                    " REFERENCES orders (id)", "high", "foreign-key", "public.orders key fk"),
    "definer": ("CREATE FUNCTION spy() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM orders'",
                "high", "security-definer", "function public.spy()"),
    "matview": ("CREATE MATERIALIZED VIEW missing AS SELECT * FROM orders", "high", "no-row-security", "public.missing"),
    "trigger": ("CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
                "CREATE TRIGGER t BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION f()", "medium", "hidden-code",
                "public.orders trigger t"),
    "default": ("CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$SELECT 'x'$$;"
                "ALTER TABLE orders ALTER note SET DEFAULT f()", "medium", "hidden-code", "public.orders default of note"),
    "rule": ("CREATE RULE r AS ON DELETE TO orders DO INSTEAD NOTHING", "high", "rule", "public.orders"),
    "type": ("DROP POLICY tenantgate_tenant ON events; ALTER TABLE events ALTER tenant_id TYPE date USING at", "high", "tenant-column-type",
             "public.events.tenant_id"),
    "no tenant column": ("DROP POLICY tenantgate_tenant ON orders; ALTER TABLE orders DROP tenant_id", "high",
                         "tenant-column-missing", "public.orders"),
    "not classified": ("CREATE TABLE extra (a int)", "low", "not-classified", "public.extra"),
    "schema gone": ("DROP SCHEMA hooli CASCADE", "medium", "schema-missing", "schema hooli"),
}  # fmt: skip
# A mend that the test cannot run as it is: it wants another owner's choice, or data that fit.
_BY_HAND = {"no tenant column", "type"}
# Found in any case, because the shop is what it is.
_EVER = {("sequence", "public.orders_id_seq"), ("table-missing", "public.missing")}


@pytest.fixture
def sound(shop: Shop) -> Shop:
    shop.superuser(SOUND)
    shop.provisioned()
    return shop


def found(shop: Shop) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (f["check"], f["object"]): f
        for f in shop.findings()
        if (f["check"], f["object"]) not in _EVER and f["check"] != "role-server-release"
    }


def test_a_sound_target_is_clean(sound: Shop) -> None:
    assert found(sound) == {}
    assert sound.command("doctor")[0] == 0


@pytest.mark.parametrize("shop", ["embedded"], indirect=True)
@pytest.mark.parametrize("leak", LEAKS)
def test_a_leak_is_found_and_its_sql_mends_it(sound: Shop, leak: str) -> None:
    sql, severity, check, what = LEAKS[leak]
    sound.superuser(sql.format(role=sound.role, owner=sound.owner))
    what = what.format(role=sound.role, owner=sound.owner)
    finding = found(sound)[check, what]
    assert finding["severity"] == severity
    assert finding["why"]
    status = sound.command("doctor")[0]
    assert status == (1 if severity in ("high", "critical") else 0)
    if finding["sql"] and leak not in _BY_HAND:
        for statement in finding["sql"]:
            sound.superuser(statement)
        assert (check, what) not in found(sound)


def test_columns_that_the_policy_names_and_nobody_has(sound: Shop) -> None:
    """A filter with one is refused at its first use, a mask or a denied column with one hides nothing."""
    policy = sound.directory / "policy.yaml"
    role = """  clerk:
    row_filters: {orders: "regoin = 'eu'"}
    masks: {orders: {noet: "NULL", note: "left(nte, 1)"}}
    denied_columns: {events: [att]}
    deny: ["column:meters.vale:read", "column:meters.value:read"]
"""
    policy.write_text(policy.read_text().replace("roles:\n", "roles:\n" + role))
    seen = {what: finding["severity"] for (check, what), finding in found(sound).items() if check == "policy-column"}
    shared = {
        "public.orders.regoin": "medium", "public.orders.nte": "medium", "public.orders.noet": "high",
        "public.events.att": "high", "public.meters.vale": "high",
    }  # fmt: skip
    assert {what: severity for what, severity in seen.items() if what in shared} == shared
    assert "hooli.orders.noet" in seen  # of the same name in a tenant's own schema
    why = found(sound)["policy-column", "public.orders.noet"]["why"]
    place = 'roles.clerk.masks."public.orders"'
    assert why == f"{place} names column noet, which is not there: it hides nothing. Did you mean note?"
    assert sound.command("doctor")[0] == 1


def test_a_key_across_tenants_that_the_policy_keeps_for_its_default(sound: Shop) -> None:
    sound.superuser("ALTER TABLE orders DROP CONSTRAINT orders_pkey, ADD CONSTRAINT pk PRIMARY KEY (id)")
    sound.superuser(
        "ALTER TABLE orders ADD code int; UPDATE orders SET code = 1; ALTER TABLE orders ALTER code SET NOT NULL"
    )
    finding = found(sound)["unique-key", "public.orders key pk"]
    assert "default_only: [id]" in finding["why"]
    policy = sound.directory / "policy.yaml"
    rule = "orders: {tenant_column: tenant_id"
    policy.write_text(policy.read_text().replace(rule, f"{rule}, default_only: [id, code, odd, note]", 1))
    findings = found(sound)
    assert findings["unique-key", "public.orders key pk"]["severity"] == "low"
    wrong = {what for check, what in findings if check == "default-only"}
    assert wrong == {"public.orders.code", "public.orders.odd"}  # one gets no value at all, one is not there


def test_rewrite_asks_for_no_row_level_security(sound: Shop) -> None:
    sound.provision("--revert")
    sound.configure("rewrite", None)
    sound.provisioned()
    assert found(sound) == {}


def test_before_provisioning_the_tables_stand_open(shop: Shop) -> None:
    shop.superuser(f"CREATE ROLE {shop.role} LOGIN NOINHERIT PASSWORD 'a password of the gateway''s'")
    checks = {finding["check"] for finding in shop.findings()}
    assert "lock-missing" in checks
    shop.provisioned()
    assert "lock-missing" not in {finding["check"] for finding in shop.findings()}


def test_a_key_that_the_database_does_not_know(sound: Shop) -> None:
    sound.configure("both", KEY[::-1])
    assert ("lock-key", "function tenantgate.proven") in found(sound)


def test_a_lock_that_believes_while_the_configuration_proves(sound: Shop) -> None:
    sound.configure("both", None)
    sound.provisioned()
    assert ("role-lock-unproven", "setting tenantgate.tenant") in found(sound)
    sound.configure("both", KEY)
    assert found(sound)["lock-function", "function tenantgate.proven"]["severity"] == "critical"


def test_fail_on_sets_the_exit_code(sound: Shop) -> None:
    sound.superuser("CREATE TABLE extra (a int)")
    assert sound.command("doctor", "--fail-on", "low")[0] == 1
    assert sound.command("doctor", "--fail-on", "medium")[0] == 1  # table-missing
    assert sound.command("doctor")[0] == 0


def test_the_report_is_a_table_with_a_count(sound: Shop) -> None:
    sound.superuser('ALTER TABLE orders DISABLE ROW LEVEL SECURITY; CREATE TABLE "\x1b[2Jx" (a int)')
    status, out, _ = sound.command("doctor")
    assert status == 1
    assert "critical  public.orders" in out
    assert 'ALTER TABLE "public"."orders" ENABLE ROW LEVEL SECURITY;' in out
    assert out.splitlines()[-1].startswith("1 critical")
    assert "\x1b" not in out


def test_what_cannot_run_says_so(shop: Shop) -> None:
    status, out, err = shop.command("doctor")  # the role is not there yet
    assert (status, out) == (2, "")
    assert "does not accept connections" in err
    status, _, err = shop.command("doctor", "--target", "mian")
    assert (status, "Did you mean main?" in err) == (2, True)
