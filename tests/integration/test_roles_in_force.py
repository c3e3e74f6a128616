"""Tenants, roles and assignments of the policy, in force on sessions that are open: by a reload, or by the time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
import yaml

from admin.demo.people import ALICE, BOB, CAROL
from tests.harness.demo_business import DemoGateway

Connection = psycopg.Connection[tuple[Any, ...]]
Policy = dict[str, Any]


@pytest.fixture(scope="module")
def running(gateway: DemoGateway) -> Iterator[DemoGateway]:
    """A gateway of its own before the same server, whose policy the tests change."""
    password = str(next(iter(gateway._targets.values()))["password"])
    process = DemoGateway(gateway.server, password)
    process.start()
    yield process
    process.stop()


@pytest.fixture
def changed(running: DemoGateway) -> Iterator[Callable[[Callable[[Policy], object]], None]]:
    """Change the policy and have it in force; the policy of before is put back in the end."""
    before = running.policy_path.read_text()

    def change(edit: Callable[[Policy], object]) -> None:
        policy = yaml.safe_load(running.policy_path.read_text())
        edit(policy)
        put(running, yaml.safe_dump(policy))

    yield change
    put(running, before)


def put(gateway: DemoGateway, text: str) -> None:
    reloads = gateway.log.count("reloaded")
    gateway.policy_path.write_text(text)
    gateway.reload()
    wait_until(lambda: gateway.log.count("reloaded") > reloads)


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)


def soon(seconds: float) -> str:
    """A time of RFC 3339, from now on."""
    return datetime.fromtimestamp(time.time() + seconds, UTC).isoformat()


def connect(
    gateway: DemoGateway, subject: str, tenant: str, *roles: str, database: str = "", **claims: Any
) -> Connection:
    token = gateway.issuer.token(subject, tenant, roles, **claims)
    return psycopg.connect(gateway.conninfo(subject, token, database or tenant), autocommit=True)


def sqlstate(connection: Connection, sql: str) -> str:
    """What a statement ends with; "" when it is well."""
    try:
        connection.execute(sql)
    except psycopg.Error as error:
        return error.sqlstate or "lost"
    return ""


def assign(name: str, **fields: Any) -> Callable[[Policy], object]:
    return lambda policy: policy.setdefault("assignments", {}).update({name: fields})


def test_a_denial_works_from_the_next_statement_on(running: DemoGateway, changed: Any) -> None:
    with running.connect(ALICE, autocommit=True) as alice:
        assert alice.execute("SELECT count(*) FROM notes").fetchone() != (0,)
        changed(lambda policy: policy["roles"]["app"].update(deny=["table:notes:read", "table:*:delete"]))
        with pytest.raises(psycopg.errors.InsufficientPrivilege) as caught:
            alice.execute("SELECT * FROM notes")
        assert caught.value.diag.message_detail == "Denied by role app."
        assert sqlstate(alice, "DELETE FROM orders WHERE false") == "42501"
        assert sqlstate(alice, "UPDATE orders SET total = total WHERE false") == ""
        assert sqlstate(alice, "SELECT 1 FROM orders LIMIT 1") == ""


def test_statement_kinds_columns_and_functions(running: DemoGateway, changed: Any) -> None:
    def edit(policy: Policy) -> None:
        policy["roles"]["writer"] = {"permissions": ["table:notes:insert"]}
        policy["roles"]["few"] = {"permissions": ["column:customers.id:read", "column:customers.name:read"]}
        policy["roles"]["narrow"] = {
            "permissions": ["table:*:select"],
            "deny": ["function:lower:call", "database:*:explain", "column:customers.card:read"],
        }

    changed(edit)
    with connect(running, "w", "acme", "writer") as writer:
        columns = "(id, author, body, visibility)"
        values = "VALUES (900001, 'w', 'x', 'team')"
        first = sqlstate(writer, f"INSERT INTO notes {columns} {values} RETURNING id")
        assert first == "42501"
        assert sqlstate(writer, "SELECT * FROM notes") == "42501"
        assert sqlstate(writer, "DELETE FROM notes") == "42501"
        assert (
            sqlstate(
                writer, f"INSERT INTO notes {columns} {values} ON CONFLICT (tenant_id, id) DO UPDATE SET body = 'y'"
            )
            == "42501"
        )
        assert sqlstate(writer, "BEGIN") == ""
        assert sqlstate(writer, f"INSERT INTO notes {columns} {values}") == ""
        assert sqlstate(writer, "ROLLBACK") == ""
    with connect(running, "f", "acme", "few") as few:
        shown = few.execute("SELECT * FROM customers ORDER BY id LIMIT 1")
        assert shown.description is not None
        assert [column.name for column in shown.description] == ["id", "name"]
        assert sqlstate(few, "SELECT card FROM customers") == "42501"
        assert sqlstate(few, "SELECT 1 FROM orders") == "42501"
        listed = few.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_name = 'customers' ORDER BY 1"
        ).fetchall()
        assert listed == [("id",), ("name",)]
    with connect(running, "n", "acme", "narrow") as narrow:
        assert sqlstate(narrow, "SELECT upper(name) FROM customers") == ""
        assert sqlstate(narrow, "SELECT lower(name) FROM customers") == "42501"
        assert sqlstate(narrow, "SELECT pg_catalog.lower(name) FROM customers") == "42501"
        assert sqlstate(narrow, "SELECT c.lower FROM (SELECT name AS x FROM customers) c") != ""
        assert sqlstate(narrow, "SELECT card FROM customers") == "42501"
        assert sqlstate(narrow, "EXPLAIN SELECT 1 FROM customers") == "42501"
        assert sqlstate(narrow, "COPY customers (id) TO STDOUT") == "42501"


def test_an_assignment_gives_a_role_and_takes_it_again(running: DemoGateway, changed: Any) -> None:
    with connect(running, "zoe", "acme", "analyst2") as zoe, connect(running, "zoe", "globex") as elsewhere:
        assert sqlstate(zoe, "SELECT 1 FROM orders") == "42501"
        changed(assign("zoe", subject="zoe", tenant="acme", roles=["read_only"]))
        assert sqlstate(zoe, "SELECT 1 FROM orders LIMIT 1") == ""
        assert sqlstate(zoe, "DELETE FROM orders WHERE false") == "42501"
        assert sqlstate(elsewhere, "SELECT 1 FROM orders") == "42501"
        changed(lambda policy: policy.pop("assignments"))
        assert sqlstate(zoe, "SELECT 1 FROM orders LIMIT 1") == "42501"


def test_an_assignment_expires_on_an_open_session(running: DemoGateway, changed: Any) -> None:
    changed(assign("zoe", subject="zoe", tenant="acme", roles=["analyst"], expires=soon(3600)))
    with connect(running, "zoe", "acme") as zoe:
        zoe.execute("PREPARE held AS SELECT 1 FROM orders LIMIT 1")
        assert sqlstate(zoe, "SELECT 1 FROM orders LIMIT 1") == ""
        changed(assign("zoe", subject="zoe", tenant="acme", roles=["analyst"], expires=soon(1)))
        wait_until(lambda: sqlstate(zoe, "SELECT 1 FROM orders LIMIT 1") == "42501")
        assert sqlstate(zoe, "EXECUTE held") != ""


@pytest.mark.parametrize(
    ("who", "claims"),
    [
        ({"group": "dba"}, {"groups": ["x", "dba"]}),
        ({"role": "boss"}, {}),
        ({"claim": {"region": "eu"}}, {"region": "eu"}),
    ],
)
def test_claims_and_groups_get_roles(running: DemoGateway, changed: Any, who: Any, claims: Any) -> None:
    changed(assign("some", tenant="acme", roles=["analyst"], issuer=running.issuer.issuer, **who))
    roles = ("boss",) if "role" in who else ()
    with (
        connect(running, "x", "acme", *roles, **claims) as right,
        connect(running, "x", "acme", groups={"a": 1}) as wrong,
    ):
        assert sqlstate(right, "SELECT 1 FROM orders LIMIT 1") == ""
        assert sqlstate(wrong, "SELECT 1 FROM orders LIMIT 1") == "42501"
    changed(assign("some", tenant="acme", roles=["analyst"], issuer="https://other.test", **who))
    with connect(running, "x", "acme", *roles, **claims) as other:
        assert sqlstate(other, "SELECT 1 FROM orders LIMIT 1") == "42501"


def test_a_token_that_names_a_built_in_role_has_nothing_by_it(running: DemoGateway) -> None:
    with connect(running, "mallory", "acme", "super_admin", "service", "/super_admin") as mallory:
        assert sqlstate(mallory, "SELECT 1 FROM orders") == "42501"
    with pytest.raises(psycopg.OperationalError, match="gateway:"):
        connect(running, "mallory", "acme", "super_admin", database="tenantgate")


def test_the_admin_console_is_for_roles_that_are_assigned_everywhere(running: DemoGateway, changed: Any) -> None:
    changed(assign("olga", subject="zoe", tenant="acme", roles=["super_admin"]))
    with pytest.raises(psycopg.OperationalError, match="gateway:"):
        connect(running, "zoe", "acme", database="tenantgate")
    changed(assign("olga", subject="zoe", tenant="*", issuer=running.issuer.issuer, roles=["super_admin"]))
    with connect(running, "zoe", "acme", database="tenantgate") as console:
        assert console.execute("SHOW POOLS", prepare=False).description is not None


def test_a_trial_ends_read_only_and_then_suspended(running: DemoGateway, changed: Any) -> None:
    def trial(ends: float, grace: float) -> Callable[[Policy], object]:
        def edit(policy: Policy) -> None:
            policy["tiers"] = {"free": {"trial_grace": grace}}
            policy["tenants"]["acme"].update(status="trial", tier="free", trial_ends=soon(ends))

        return edit

    changed(trial(3600, 3600))
    with running.connect(ALICE, autocommit=True) as alice:
        update = "UPDATE orders SET total = total WHERE false"
        assert sqlstate(alice, update) == ""
        changed(trial(1, 3600))
        wait_until(lambda: sqlstate(alice, update) == "25006")
        assert sqlstate(alice, "SELECT 1 FROM orders LIMIT 1") == ""
        assert sqlstate(alice, "INSERT INTO notes (id) VALUES (1)") == "25006"
        changed(trial(-60, 61))
        wait_until(lambda: sqlstate(alice, "SELECT 1") != "")
        assert alice.closed
    with pytest.raises(psycopg.OperationalError, match="trial has ended"):
        running.connect(ALICE)


@pytest.mark.parametrize("status", ["suspended", "deleting"])
def test_a_status_ends_sessions(running: DemoGateway, changed: Any, status: str) -> None:
    with running.connect(ALICE, autocommit=True) as alice:
        changed(lambda policy: policy["tenants"]["acme"].update(status=status))
        wait_until(lambda: sqlstate(alice, "SELECT 1") != "")
        assert alice.closed
    with pytest.raises(psycopg.OperationalError, match='tenant "acme" is'):
        running.connect(ALICE)


def test_an_expired_tenant_and_one_without_a_flag(running: DemoGateway, changed: Any) -> None:
    def switch(**flags: str) -> Callable[[Policy], object]:
        return lambda policy: policy["tenants"]["acme"].update(flags=flags)

    with running.connect(ALICE, autocommit=True) as alice:
        changed(lambda policy: policy["tenants"]["acme"].update(status="expired"))
        assert sqlstate(alice, "SELECT 1 FROM orders LIMIT 1") == ""
        assert sqlstate(alice, "UPDATE orders SET total = total WHERE false") == "25006"
        changed(lambda policy: policy["tenants"]["acme"].update(status="active", flags={"copy": "off"}))
        assert sqlstate(alice, "UPDATE orders SET total = total WHERE false") == ""
        assert sqlstate(alice, "COPY orders TO STDOUT") == "42501"

        def reports(policy: Policy) -> None:
            policy["flags"] = {"reports": {"deny": ["table:orders:read"], "default": "off"}}

        changed(reports)
        assert sqlstate(alice, "SELECT 1 FROM orders LIMIT 1") == "42501"
        changed(switch(reports="on"))
        assert sqlstate(alice, "SELECT 1 FROM orders LIMIT 1") == ""


def test_an_administrator_of_a_parent_acts_in_its_children(running: DemoGateway, changed: Any) -> None:
    def edit(policy: Policy) -> None:
        policy["tenants"]["globex"]["parent"] = "acme"
        policy["roles"]["head"] = {"permissions": ["table:*:read", "tenant:children:use"]}

    with pytest.raises(psycopg.OperationalError, match='database "globex" does not exist'):
        connect(running, "ann", "acme", "head", database="globex")
    changed(edit)
    with connect(running, "ann", "acme", "head", "app", database="globex") as ann:
        assert {row[0] for row in ann.execute("SELECT DISTINCT tenant_id FROM orders")} == {"globex"}
        assert sqlstate(ann, "UPDATE orders SET total = total WHERE false") == "42501"  # app does not reach children
        for subject, tenant, roles, database in (
            ("bob", "acme", ["app"], "globex"),
            ("bob", "globex", ["head"], "acme"),
            ("ann", "acme", ["head"], "initech"),
        ):
            with pytest.raises(psycopg.OperationalError, match=f'database "{database}" does not exist'):
                connect(running, subject, tenant, *roles, database=database)
        changed(lambda policy: policy["roles"]["head"].update(deny=["tenant:children:use"]))
        wait_until(lambda: sqlstate(ann, "SELECT 1") != "")
        assert ann.closed


def test_the_quotas_of_a_parent_bound_its_children_together(running: DemoGateway, changed: Any) -> None:
    def edit(policy: Policy) -> None:
        policy["tenants"]["globex"]["parent"] = policy["tenants"]["initech"]["parent"] = "acme"
        policy["tenants"]["acme"]["quotas"] = {"connections": 1}

    with running.connect(BOB, autocommit=True) as bob:
        changed(edit)  # bob's session is there already, and counts
        for person in (ALICE, CAROL):
            with pytest.raises(psycopg.OperationalError, match="and those that share with it"):
                running.connect(person)
        changed(lambda policy: policy["tenants"]["globex"].pop("parent"))
        with running.connect(CAROL):
            assert sqlstate(bob, "SELECT 1") == ""


def test_a_policy_with_a_cycle_changes_nothing(running: DemoGateway) -> None:
    before = running.policy_path.read_text()
    with running.connect(ALICE, autocommit=True) as alice:
        policy = yaml.safe_load(before)
        policy["roles"]["app"].update(inherits=["app"], permissions=[])
        told = running.log.count("app > app")
        running.policy_path.write_text(yaml.safe_dump(policy))
        running.reload()
        wait_until(lambda: running.log.count("app > app") > told)
        assert sqlstate(alice, "SELECT 1 FROM orders LIMIT 1") == ""
    put(running, before)
