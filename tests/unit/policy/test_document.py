"""policy.yaml: what it becomes, and that everything wrong with it is told at once, with key path and hint."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.document import load_policy, parse_policy
from policy.errors import ConfigurationError
from policy.model import FunctionRule, Isolation, Permission, QuotaLimits, TableClass, TableRule, Tenant, TenantStatus
from policy.snapshot import Snapshot

DOCUMENT = """
tenants:
  acme:
    isolation: shared
    target: main
    value: 42
    tier: gold
    quotas: {connections: 10, concurrent_statements: 4, statements_per_s: 2.5, burst: 5, statement_timeout: 30s}
  globex: {isolation: shared, target: main, status: suspended}
  initech: {isolation: schema, target: main, schema: initech}
  umbrella: {isolation: database, target: main, database: umbrella_db}
roles:
  analyst:
    permissions: ["table:orders:read", "table:sales.*:read", 'table:public."Invoices":write']
    row_filters: {orders: "region = :attr_region"}
    masks: {customers: {card: "NULL", email: "left(email,1) || '***'"}}
  owner: {permissions: ["database:*", "schema:*:ddl", "gateway:*:read"]}
tables:
  main:
    public.orders: {tenant_column: tenant_id}
    'public."Invoices"': {tenant_column: '"Tenant"'}
    countries: {global: true}
    numbers: {sequence: true}
    sales.exports: {denied: true}
"""

BOMB = "a: &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(f"b{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 20))


def _parse(text: str, **databases: str) -> Snapshot:
    return parse_policy(text, version=7, targets=["main", "eu"], databases=databases)


def _problems(text: str, **databases: str) -> dict[str, tuple[str, str]]:
    with pytest.raises(ConfigurationError) as raised:
        _parse(text, **databases)
    return {key: (message, hint) for key, message, hint in raised.value.problems}


def test_every_part_of_the_document() -> None:
    snapshot = _parse(DOCUMENT)
    assert snapshot.version == 7
    assert snapshot.tenants["acme"] == Tenant(
        "acme", Isolation.SHARED, "main", "42", tier="gold", quotas=QuotaLimits(10, 4, 2.5, 5, 30_000)
    )
    assert snapshot.tenants["globex"] == Tenant(
        "globex", Isolation.SHARED, "main", "globex", status=TenantStatus.SUSPENDED
    )
    assert snapshot.tenants["initech"].schema == "initech"
    assert snapshot.tenants["umbrella"].database == "umbrella_db"
    analyst = snapshot.roles["analyst"]
    assert analyst.permissions == {
        Permission("table", "public.orders", "read"),
        Permission("table", "sales.*", "read"),
        Permission("table", 'public."Invoices"', "write"),
    }
    assert analyst.row_filters == {"public.orders": "region = :attr_region"}
    assert analyst.masks == {"public.customers": {"card": "NULL", "email": "left(email,1) || '***'"}}
    assert snapshot.roles["owner"].permissions == {
        Permission("database", "*", "*"),
        Permission("schema", "*", "ddl"),
        Permission("gateway", "*", "read"),
    }
    assert snapshot.tables["main"] == (
        TableRule("public", "orders", TableClass.TENANT, "tenant_id"),
        TableRule("public", "Invoices", TableClass.TENANT, "Tenant"),
        TableRule("public", "countries", TableClass.GLOBAL),
        TableRule("public", "numbers", TableClass.SEQUENCE),
        TableRule("sales", "exports", TableClass.DENIED),
    )


def test_a_snapshot_cannot_be_changed() -> None:
    snapshot = _parse(DOCUMENT)
    for mapping in (snapshot.tenants, snapshot.roles, snapshot.roles["analyst"].masks):
        with pytest.raises(TypeError):
            mapping["x"] = None  # type: ignore[index]


def test_words_that_yaml_1_1_takes_for_something_else() -> None:
    """Norway's tenant is `no`, and the value 010 is not 8."""
    snapshot = _parse("tenants: {no: {isolation: shared, target: main, value: 010}}")
    assert snapshot.tenants["no"].value == "010"


def test_all_problems_at_once() -> None:
    problems = _problems(
        """
tenant: {}
tenants:
  acme: {isolation: share, target: mian, quotas: {conections: 5, burst: 2}}
  Bad Name: {isolation: shared, target: main}
  tenantgate: {isolation: shared, target: main}
  initech: {isolation: schema, target: main}
  hooli: {isolation: shared, target: main, schema: hooli, status: paused}
roles:
  analyst:
    permission: []
    permissions: ["table:orders:reed", "tabel:orders:read", 5]
    row_filters: {Orders: "a = 1", orders: "id in (select 1)", "*": "true", notes: "a = 1; drop table x"}
    masks: {customers: {card: null, Email: "'x'"}}
tables:
  man: {orders: {tenant_column: tenant_id}}
  main: {orders: {tenant_colum: x}, a: {}, b: {global: false}, c: {global: true, denied: true}, d.e.f: {denied: true}}
"""
    )
    assert set(problems) == {
        "tenant",
        "tenants.acme.isolation",
        "tenants.acme.target",
        "tenants.acme.quotas.conections",
        "tenants.acme.quotas.burst",
        'tenants."Bad Name"',
        "tenants.tenantgate",
        "tenants.initech.schema",
        "tenants.hooli.schema",
        "tenants.hooli.status",
        "roles.analyst.permission",
        "roles.analyst.permissions[0]",
        "roles.analyst.permissions[1]",
        "roles.analyst.permissions[2]",
        "roles.analyst.row_filters.Orders",
        "roles.analyst.row_filters.orders",
        'roles.analyst.row_filters."*"',
        "roles.analyst.row_filters.notes",
        "roles.analyst.masks.customers.card",
        "roles.analyst.masks.customers.Email",
        "tables.man",
        "tables.main.orders.tenant_colum",
        "tables.main.a",
        "tables.main.b",
        "tables.main.c",
        'tables.main."d.e.f"',
    }
    assert problems["tenant"][1] == "Did you mean tenants?"
    assert problems["tenants.acme.target"][1] == "Did you mean main?"
    assert problems["tables.main.orders.tenant_colum"][1] == "Did you mean tenant_column?"
    assert "sub-queries" in problems["roles.analyst.row_filters.orders"][0]
    assert "read" in problems["roles.analyst.permissions[0]"][0]
    assert all(hint for _, hint in problems.values())


@pytest.mark.parametrize(
    "word",
    [
        "table", "table:", "table:orders", "table:orders:", "table::read", "table:orders:read:extra",
        "table:Orders:read",
        "table:*.orders:read", "table:a.b.c:read", "database", "database:", "database:main:read", "database:*:ddl",
        "schema:*", "schema:sales:ddl", "schema:*:read", "gateway:*", "gateway:*:write", "gateway:x:read", "*", "*:*:*",
        "", "column:x:read", "table:orders:READ", " table:orders:read", "table:orders;:read",
        'table:"a:read', "table: :read",
    ],
)  # fmt: skip
def test_unknown_permission_words_are_refused(word: str) -> None:
    problems = _problems(f"roles: {{r: {{permissions: ['{word}']}}}}")
    assert list(problems) == ["roles.r.permissions[0]"]


@pytest.mark.parametrize(
    ("first", "second", "key"),
    [
        ("isolation: shared, value: x", "isolation: shared, value: x", "tenants.b.value"),
        ("isolation: shared, value: '7'", "isolation: shared, value: 07", "tenants.b.value"),
        ("isolation: shared, value: x", "isolation: shared, value: 'x '", "tenants.b.value"),
        ("isolation: shared, value: 6F9619FF8B86D011B42D00C04FC964FF",
         "isolation: shared, value: 6f9619ff-8b86-d011-b42d-00c04fc964ff", "tenants.b.value"),
        ("isolation: schema, schema: s", "isolation: schema, schema: s", "tenants.b.schema"),
        ("isolation: schema, schema: s", "isolation: schema, schema: s, database: app", "tenants.b.schema"),
        ("isolation: database, database: d", "isolation: database, database: d", "tenants.b.database"),
        ("isolation: database", "isolation: database, database: app", "tenants.b.database"),
        ("isolation: database, database: app", "isolation: shared", "tenants.a.database"),
        ("isolation: schema, schema: s", "isolation: database, database: app", "tenants.b.database"),
        ("isolation: shared", "isolation: schema, schema: public", "tenants.b.schema"),
    ],
)  # fmt: skip
def test_tenants_that_would_see_each_other_are_refused(first: str, second: str, key: str) -> None:
    document = f"tenants: {{a: {{target: main, {first}}}, b: {{target: main, {second}}}}}\n"
    document += "tables: {main: {orders: {tenant_column: t}}}\n"
    assert list(_problems(document, main="app")) == [key]


def test_the_same_value_in_different_databases_and_targets_is_fine() -> None:
    places = ["target: main", "target: eu", "target: main, database: other"]
    tenants = (f"t{i}: {{isolation: shared, value: x, {place}}}" for i, place in enumerate(places))
    assert len(_parse(f"tenants: {{{', '.join(tenants)}}}", main="app", eu="app").tenants) == 3


def test_values_that_differ_in_case_are_two_tenants() -> None:
    text = "tenants: {a: {isolation: shared, target: main, value: Ab}, b: {isolation: shared, target: main, value: aB}}"
    assert len(_parse(text).tenants) == 2


def test_a_filter_that_names_a_tenants_own_schema_would_not_apply() -> None:
    problems = _problems(
        """
tenants: {initech: {isolation: schema, target: main, schema: initech}}
roles: {r: {row_filters: {initech.orders: "a = 1", other.orders: "a = 1"}, masks: {initech.orders: {a: "NULL"}}}}
"""
    )
    assert set(problems) == {'roles.r.row_filters."initech.orders"', 'roles.r.masks."initech.orders"'}


def test_the_same_table_written_twice() -> None:
    problems = _problems(
        """
roles: {r: {row_filters: {orders: "a = 1", public.orders: "b = 1"}, masks: {orders: {a: "NULL", '"a"': "NULL"}}}}
tables: {main: {orders: {global: true}, public.orders: {denied: true}}}
"""
    )
    assert set(problems) == {
        'roles.r.row_filters."public.orders"',
        'roles.r.masks.orders."\\"a\\""',
        'tables.main."public.orders"',
    }


@pytest.mark.parametrize(
    ("quota", "accepted"),
    [
        ("connections: 0", False),
        ("connections: -1", False),
        ("connections: true", False),
        ("connections: 1.5", False),
        ("connections: '5'", False),
        ("statements_per_s: 0", False),
        ("statements_per_s: .inf", False),
        ("statements_per_s: 0.5", True),
        ("statement_timeout: 0", False),
        ("statement_timeout: 5 fortnights", False),
        ("statement_timeout: 250ms", True),
        ("statement_timeout: 30", True),
        ("statement_timeout: 90d", False),
    ],
)
def test_quotas(quota: str, accepted: bool) -> None:
    text = f"tenants: {{a: {{isolation: shared, target: main, quotas: {{{quota}}}}}}}"
    if accepted:
        _parse(text)
    else:
        assert list(_problems(text)) == [f"tenants.a.quotas.{quota.split(':')[0]}"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("[]", "must be a mapping"),
        ("tenants: [acme]", "must be a mapping"),
        ("tenants: {acme: shared}", "must be a mapping"),
        ("tenants: {acme: {isolation: shared, target: main}, acme: {isolation: shared, target: main}}", "stands twice"),
        ("tenants:\n  a: [\n", "line 3"),
        ("tenants: {5: {isolation: shared, target: main}}", "must be text"),
        ("a: !!python/object/apply:os.system ['true']", "tag"),
        ("tenants: {}\n---\nroles: {}", "document"),
        ("a: &a [*a]", "inside itself"),
        ("- " * 5000 + "x", "nested deeper"),
        ("[" * 200_000, "nested deeper"),
        (BOMB, "aliases"),
        ("# " + "x" * (10 * 1024 * 1024), "larger than 10 MB"),
        ("a: \x00", "control characters"),
        ("a: \ud800", "surrogates"),
    ],
)  # fmt: skip
def test_text_that_is_no_policy(text: str, words: str) -> None:
    problems = _problems(text)
    assert any(words in message for message, _ in problems.values()), problems


def test_aliases_in_measure_are_allowed() -> None:
    snapshot = _parse(
        """
tenants:
  a: &standard {isolation: shared, target: main, quotas: {connections: 5}}
  b: {<<: *standard, value: other}
"""
    )
    assert snapshot.tenants["b"].quotas.connections == 5


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(DOCUMENT)
    assert load_policy(path, version=7, targets={"main"}) == _parse(DOCUMENT)
    for content in (None, b"tenants: {}\xff", b"#" * (11 * 1024 * 1024)):
        path.unlink()
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(ConfigurationError, match="cannot be read"):
            load_policy(path, version=7, targets={"main"})
        path.touch()


_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.sampled_from(["", "x", "orders", "NULL"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["x", "orders", "main", "a.b"]), inner),
    max_leaves=6,
)


@given(
    st.sampled_from(["tenants", "roles", "tables"]),
    _values,
    st.sampled_from(["permissions", "row_filters", "masks", "quotas", "target", "isolation", "orders", "value"]),
)
@settings(max_examples=150, deadline=None)  # fmt: skip
def test_any_document_is_a_snapshot_or_a_list_of_problems(section: str, value: object, field: str) -> None:
    for document in ({section: value}, {section: {"x": value}}, {section: {"x": {field: value}}}):
        text = yaml.safe_dump(document)
        with contextlib.suppress(ConfigurationError):
            assert isinstance(_parse(text), Snapshot)


def test_denied_columns_are_read() -> None:
    snapshot = parse_policy(
        "roles: {r: {denied_columns: {customers: [card, '\"Iban\"'], sales.leads: []}}}", version=1, targets=[]
    )
    assert snapshot.roles["r"].denied_columns == {"public.customers": {"card", "Iban"}, "sales.leads": frozenset()}


def test_wrong_denied_columns_are_problems() -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_policy("roles: {r: {denied_columns: {'*': [a], customers: [Card], orders: card}}}", version=1, targets=[])
    assert {problem[0] for problem in caught.value.problems} == {
        'roles.r.denied_columns."*"', "roles.r.denied_columns.customers", "roles.r.denied_columns.orders",
    }  # fmt: skip


def test_columns_that_only_take_their_defaults() -> None:
    good = "tables: {main: {v: {tenant_column: t, default_only: [id, '\"Code\"']}}}"
    assert _parse(good).tables["main"][0].default_only == {"id", "Code"}
    bad = """
tables:
  main:
    a: {global: true, default_only: [id]}
    b: {tenant_column: t, default_only: [t]}
    c: {tenant_column: t, default_only: id}
    d: {tenant_column: t, default_only: ["a b", 5]}
"""
    assert set(_problems(bad)) == {f"tables.main.{table}.default_only" for table in "abcd"}


def test_trust_goes_with_a_tenant_column() -> None:
    rules = "tables: {main: {v: {tenant_column: t, trusted: true}, w: {global: true, trusted: true}, x: {trusted: 1}}}"
    with pytest.raises(ConfigurationError) as caught:
        parse_policy(rules, version=1, targets=["main"])
    assert {problem[0] for problem in caught.value.problems} == {"tables.main.w.trusted", "tables.main.x"}


def test_functions_are_read() -> None:
    text = "functions: {main: {money: safe, sales.margin: safe, orders_of: {tenant_argument: 2}}}"
    assert parse_policy(text, version=1, targets=["main"]).functions["main"] == (
        FunctionRule("public", "money"),
        FunctionRule("sales", "margin"),
        FunctionRule("public", "orders_of", 2),
    )


def test_wrong_functions_are_problems() -> None:
    bad = (
        "a: unsafe, b: {tenant_argument: 0}, c: {tenant_argument: true}, d: {x: 1}, e: safe, public.e: safe, '*': safe"
    )
    with pytest.raises(ConfigurationError) as caught:
        parse_policy(f"functions: {{main: {{{bad}}}, nowhere: {{}}}}", version=1, targets=["main"])
    found = {problem[0].removeprefix("functions.") for problem in caught.value.problems}
    assert found == {"main.a", "main.b", "main.c", "main.d", 'main."public.e"', 'main."*"', "nowhere"}


def test_pooling_and_lanes_of_a_tenant() -> None:
    text = "tenants: {{acme: {{isolation: shared, target: main, {}}}}}"

    def acme(extra: str) -> Tenant:
        return parse_policy(text.format(extra), version=1, targets=frozenset({"main"})).tenants["acme"]

    assert (acme("value: a").pooling, acme("value: a").lanes) == ("transaction", True)
    assert (acme("pooling: session").pooling, acme("lanes: off").lanes) == ("session", False)
    assert acme("lanes: true").lanes
    for wrong in ("pooling: statement", "lanes: maybe", "lanes: 2"):
        with pytest.raises(ConfigurationError):
            acme(wrong)
