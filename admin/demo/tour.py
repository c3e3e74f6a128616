"""The tour: what each person asks of the gateway, what came back, and whether it is right.

Unmodified psycopg is the client (TLS, the JWT as its password). Expected values come from `facts.py`, which asks
the database itself. A step is data: acts to perform and a check of their outcomes, which returns what is wrong.
"""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import psycopg

from admin.demo.facts import Facts
from admin.demo.people import ALICE, ANA, BOB, CAROL, DAVE, RITA, Person

Check = Callable[["Sequence[Outcome]", Facts], str | None]


@dataclass(frozen=True, slots=True)
class Act:
    """One person's statements on one connection; `database` is the own tenant's name unless given."""

    person: Person
    statements: tuple[str, ...]
    database: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """`name` is what --check calls it; `said` tells the reader what to look at."""

    name: str
    title: str
    said: str
    acts: tuple[Act, ...]
    check: Check


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one statement (empty for a refused login) came to: rows, or an error's parts."""

    person: Person
    statement: str
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[object, ...], ...] = ()
    tag: str = ""
    sqlstate: str = ""
    error: str = ""
    hint: str = ""
    position: int = 0


@dataclass(slots=True)
class Traveller:
    """Performs acts as people with tokens. `application` marks every session of this tour in the audit log."""

    port: int
    tokens: Mapping[str, str] = field(repr=False)
    application: str = field(default_factory=lambda: f"tour-{secrets.token_hex(4)}")

    def perform(self, act: Act) -> list[Outcome]:
        try:
            with contextlib.closing(self.connect(act.person, act.database)) as connection:
                return [_run(connection, act.person, statement) for statement in act.statements]
        except psycopg.OperationalError as error:
            return [_refused_login(act.person, str(error))]

    def connect(self, person: Person, database: str | None = None) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(
            host="localhost",
            port=self.port,
            user=person.name,
            dbname=database or person.tenant,
            password=self.tokens[person.name],
            sslmode="require",
            application_name=self.application,
            connect_timeout=10,
            autocommit=True,
        )

    def travel(self, facts: Facts) -> Iterator[tuple[Step, list[Outcome], str | None]]:
        """Perform each step; yield it with its outcomes and what is wrong with them."""
        for step in STEPS:
            outcomes = [outcome for act in step.acts for outcome in self.perform(act)]
            yield step, outcomes, step.check(outcomes, facts)


def _run(connection: psycopg.Connection[tuple[object, ...]], person: Person, statement: str) -> Outcome:
    try:
        cursor = connection.execute(statement)
    except psycopg.Error as error:
        about = error.diag
        return Outcome(
            person,
            statement,
            sqlstate=error.sqlstate or "",
            error=about.message_primary or str(error).strip(),
            hint=about.message_hint or "",
            position=int(about.statement_position or 0),
        )
    columns = tuple(column.name for column in cursor.description or ())
    rows = tuple(cursor.fetchall()) if columns else ()
    return Outcome(person, statement, columns, rows, cursor.statusmessage or "")


def _refused_login(person: Person, said: str) -> Outcome:
    """libpq keeps a failed login as one text, without its SQLSTATE; no FATAL in it: there was no login at all."""
    error = re.search(r"FATAL: +(.*)", said)
    hint = re.search(r"HINT: +(.*)", said)
    return Outcome(
        person,
        "",
        sqlstate="login" if error else "",
        error=error[1] if error else said.strip(),
        hint=hint[1] if hint else "",
    )


# --- what must be true of the outcomes ------------------------------------------------------------------------


def _error_in(outcomes: Sequence[Outcome]) -> str | None:
    for outcome in outcomes:
        if outcome.error:
            return f"{outcome.person.name}: {outcome.statement or 'login'}: {outcome.sqlstate} {outcome.error}"
    return None


def check_same_select(outcomes: Sequence[Outcome], facts: Facts) -> str | None:
    for outcome in outcomes:
        expected = facts.turnover[outcome.person.tenant]
        if outcome.rows != (expected,):
            return f"{outcome.person.name} sees {outcome.rows or outcome.error}, the database has {expected}"
    return None


def check_foreign_rows(outcomes: Sequence[Outcome], facts: Facts) -> str | None:
    orders = facts.turnover["acme"][0]
    expected = [((0,),), (("acme", orders),), ((0,),)]
    if wrong := _error_in(outcomes):
        return wrong
    for outcome, rows in zip(outcomes, expected, strict=True):
        if outcome.rows != rows:
            return f"{outcome.statement}: {outcome.rows}, expected {rows}"
    return None


def check_foreign_login(outcomes: Sequence[Outcome], _: Facts) -> str | None:
    """Refused because of the database: a login that fails for another reason proves nothing."""
    if [outcome.sqlstate for outcome in outcomes] != ["login"] or '"globex"' not in outcomes[0].error:
        return f"alice's token was not refused for globex: {[o.rows or o.error for o in outcomes]}"
    return None


def check_mask(outcomes: Sequence[Outcome], facts: Facts) -> str | None:
    if wrong := _error_in(outcomes):
        return wrong
    masked = tuple((name, f"{email[0]}***@{email.split('@')[1]}", f"**** **** **** {card[-4:]}")
                   for name, email, card in facts.first_customers)  # fmt: skip
    if outcomes[0].rows != masked:
        return f"not masked as expected: {outcomes[0].rows}, expected {masked}"
    if outcomes[1].rows != ((0,),):
        return f"a predicate saw through the mask: {outcomes[1].rows}"
    return None


def check_row_filter(outcomes: Sequence[Outcome], facts: Facts) -> str | None:
    expected = (("EMEA", facts.emea_orders),)
    return _error_in(outcomes) or (None if outcomes[0].rows == expected else f"{outcomes[0].rows}, expected {expected}")


def check_write(outcomes: Sequence[Outcome], facts: Facts) -> str | None:
    if wrong := _error_in(outcomes):
        return wrong
    _, inserted, counted, _, after = outcomes
    if [row[0] for row in inserted.rows] != ["acme"]:
        return f"the new row was not stamped: {inserted.rows}"
    if counted.rows != ((facts.acme_notes + 1,),) or after.rows != ((facts.acme_notes,),):
        return f"counted {counted.rows} and after ROLLBACK {after.rows}, before it was {facts.acme_notes}"
    return None


def check_refused(outcomes: Sequence[Outcome], _: Facts) -> str | None:
    for outcome in outcomes:
        if outcome.sqlstate not in {"42501", "0A000"}:
            return f"{outcome.statement}: not refused: {outcome.tag or outcome.error} {outcome.rows}"
        if not outcome.hint:
            return f"{outcome.statement}: refused without a hint ({outcome.error})"
    return None


ONE_SELECT = "SELECT count(*) AS orders, count(DISTINCT customer_id) AS buyers, sum(total) AS turnover FROM orders"

STEPS: tuple[Step, ...] = (
    Step(
        "same-select",
        "One statement, four tenants",
        "Each sees what a database of its own would show: shared tables, a schema, a database.",
        tuple(Act(person, (ONE_SELECT,)) for person in (ALICE, BOB, CAROL, DAVE)),
        check_same_select,
    ),
    Step(
        "foreign-rows",
        "alice (acme) looks for globex's rows",
        "They are in the same tables; her statements do not reach them, whatever she writes.",
        (
            Act(
                ALICE,
                (
                    "SELECT count(*) FROM orders WHERE tenant_id = 'globex' OR true AND tenant_id <> 'acme'",
                    "SELECT tenant_id, count(*) FROM orders GROUP BY tenant_id\n"
                    "UNION ALL SELECT tenant_id, count(*) FROM customers WHERE tenant_id = 'globex' GROUP BY 1",
                    "SELECT count(*) FROM customers WHERE id IN\n"
                    "  (SELECT customer_id FROM orders WHERE tenant_id <> 'acme')",
                ),
            ),
        ),
        check_foreign_rows,
    ),
    Step(
        "foreign-login",
        "alice asks for globex's database",
        "Her token says acme. That globex is a tenant here she does not even learn.",
        (Act(ALICE, (), "globex"),),
        check_foreign_login,
    ),
    Step(
        "mask",
        "ana, acme's analyst, reads customers",
        "E-mail and card are masked below the query: a predicate cannot look behind the mask either.",
        (
            Act(
                ANA,
                (
                    "SELECT name, email, card FROM customers ORDER BY id LIMIT 3",
                    "SELECT count(*) AS found FROM customers WHERE card LIKE '4000%'",
                ),
            ),
        ),
        check_mask,
    ),
    Step(
        "row-filter",
        "rita sells in EMEA",
        "Her role's filter is region = :attr_region, and her token carries the region.",
        (Act(RITA, ("SELECT region, count(*) AS orders FROM orders GROUP BY region",)),),
        check_row_filter,
    ),
    Step(
        "write",
        "alice writes in a transaction",
        "She gives no tenant_id: the gateway stamps it. ROLLBACK works as ever.",
        (
            Act(
                ALICE,
                (
                    "BEGIN",
                    "INSERT INTO notes (customer_id, author, body) VALUES (1, 'alice', 'Called back.')\n"
                    "RETURNING tenant_id, body",
                    "SELECT count(*) AS notes FROM notes",
                    "ROLLBACK",
                    "SELECT count(*) AS notes FROM notes",
                ),
            ),
        ),
        check_write,
    ),
    Step(
        "refused",
        "What is refused, and how kindly",
        "Moving a row to another tenant, writing without the permission, reading the server's files.",
        (
            Act(ALICE, ("UPDATE orders SET tenant_id = 'globex' WHERE id = 1",)),
            Act(ANA, ("DELETE FROM customers",)),
            Act(ALICE, ("SELECT pg_read_file('/etc/passwd')",)),
        ),
        check_refused,
    ),
)
