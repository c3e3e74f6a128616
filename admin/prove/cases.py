"""Cases: what is sent on one session for one statement, in each of the ways in which a client sends statements.

A case is made from (seed, number) alone. Reads stand for themselves; writes are looked at and rolled back, some are
committed. Which tables are looked at after a write: those it names.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from admin.prove.draw import Draw
from admin.prove.model import Schema, is_sortable
from admin.prove.scope import Query
from admin.prove.selects import Selects
from admin.prove.steps import Case, Step
from admin.prove.writes import Writes
from policy.sql.plan import quote_identifier

COMMIT_SHARE = 0.06
STATEMENT_TIMEOUT = "4s"
FRESH_SESSION = ("DISCARD ALL", f"SET statement_timeout = '{STATEMENT_TIMEOUT}'")
DEPTH = 2


@dataclass(frozen=True, slots=True)
class Wish:
    reads: bool = True
    writes: bool = True


def make_case(schema: Schema, seed: int, number: int, wish: Wish = Wish()) -> Case:
    """Case `number` of a run."""
    draw = Draw(f"{seed}:{number}", schema, number)
    writing = wish.writes and bool(schema.writable) and (not wish.reads or draw.chance(0.4))
    maker = _Maker(draw, number, writing)
    return maker.write() if writing else maker.read()


class _Maker:
    def __init__(self, draw: Draw, number: int, writing: bool) -> None:
        self._draw = draw
        self._number = number
        self._selects = Selects(draw)
        self._writes = Writes(self._selects)
        self._writing = writing

    # -- reads --------------------------------------------------------------------------------------------------

    def read(self) -> Case:
        draw = self._draw
        kind = draw.weighted(
            (10, "simple"), (5, "extended"), (0.6, "prepared"), (0.6, "cursor"), (0.5, "copy_to"), (0.3, "batch"),
            (0.3, "transaction"), (0.1, "explain"), (0.15, "settings"), (0.6, "repeated"), (0.5, "named"),
            (0.5, "chain"), (0.3, "portal"), (0.15, "temporary"),
        )  # fmt: skip
        steps = getattr(self, f"_read_{kind}")()
        return Case(self._number, tuple(steps), kind)

    def _query(self) -> Query:
        return self._selects.query(None, None, DEPTH, top=True)

    def _read_simple(self) -> list[Step]:
        query = self._query()
        return [Step(query.text + self._draw.pick(("", "", ";", " -- end")), ordered=query.total)]

    def _read_extended(self) -> list[Step]:
        return [self._extended()]

    def _extended(self) -> Step:
        self._draw.parameters = []
        query = self._query()
        text, parameters = self._draw.settle(query.text)
        return Step(text, parameters, ordered=query.total, binary=self._draw.chance(0.25))

    def _read_repeated(self) -> list[Step]:
        """Often enough, and each by itself, that the gateway puts it on a lane."""
        step = self._extended() if self._draw.chance(0.5) else self._read_simple()[0]
        alone = replace(step, alone=True)
        return [alone, *[replace(alone, counted=False)] * self._draw.number(2, 5)]

    def _read_named(self) -> list[Step]:
        """A statement of the protocol that is prepared once and bound again, at times with NULLs."""
        name, first = self._draw.session_name("s"), replace(self._extended(), binary=False)
        again = tuple((oid, None if self._draw.chance(0.15) else text) for oid, text in first.parameters or ())
        bound = replace(first, statement=name, parsed=True, counted=False)
        steps = [replace(first, statement=name), bound, replace(bound, parameters=again), bound]
        return [*steps, Step(f"DEALLOCATE {name}", counted=False)]

    def _read_chain(self) -> list[Step]:
        """Several statements before one Sync."""
        steps = [self._extended() for _ in range(self._draw.number(2, 4))]
        return [replace(steps[0], chained=tuple(steps[1:]))]

    def _read_portal(self) -> list[Step]:
        """The first rows only, and the server is told that no more are wanted."""
        step = self._extended()
        return [replace(step, max_rows=self._draw.number(1, 4)) if step.ordered else step]

    def _read_temporary(self) -> list[Step]:
        """A temporary table of a query's rows. Afterwards the session is made as new, to be untied from its backend."""
        draw, name = self._draw, self._draw.session_name("tmp")
        query = self._query()
        columns = [draw.name("c") for _ in query.columns]
        listed, order = ", ".join(columns), ", ".join(str(n + 1) for n in range(len(columns)))
        made = f"CREATE TEMP TABLE {name} ({listed}) AS {query.text}"
        sortable = all(is_sortable(family) and family != "interval" for _, family in query.columns)
        shown = Step(f"SELECT * FROM {name}" + (f" ORDER BY {order}" if sortable else ""), ordered=sortable)
        again = Step(f"INSERT INTO {name} SELECT * FROM {name}")
        fewer = Step(f"DELETE FROM {name} WHERE {columns[0]} IS NULL RETURNING {columns[-1]}")
        steps = [
            Step(made),
            shown,
            again,
            fewer,
            replace(shown, counted=False),
            Step(f"DROP TABLE {name}", counted=False),
        ]
        return [*steps, *(Step(text, counted=False) for text in FRESH_SESSION)]

    def _read_prepared(self) -> list[Step]:
        name = self._draw.session_name("p")
        query = self._query()
        steps = [Step(f"PREPARE {name} AS {query.text}"), Step(f"EXECUTE {name}", ordered=query.total)]
        if self._draw.chance(0.5):
            steps.append(Step(f"EXECUTE {name}", ordered=query.total, counted=False))
        return [*steps, Step(f"DEALLOCATE {name}", counted=False)]

    def _read_cursor(self) -> list[Step]:
        draw, name = self._draw, self._draw.session_name("cur")
        query = self._query()
        fetches = [f"FETCH ALL FROM {name}"]
        if query.total:
            fetches = [
                f"FETCH {draw.number(1, 5)} FROM {name}",
                f"MOVE 2 IN {name}",
                f"FETCH NEXT FROM {name}",
                *fetches,
            ]
        return [
            Step("BEGIN", counted=False),
            Step(f"DECLARE {name} CURSOR FOR {query.text}"),
            *(Step(fetch, ordered=query.total, counted=False) for fetch in fetches),
            Step(f"CLOSE {name}", counted=False),
            Step("COMMIT", counted=False),
        ]

    def _read_copy_to(self) -> list[Step]:
        draw = self._draw
        options = draw.pick(
            ("", " WITH (FORMAT csv)", " WITH (FORMAT csv, HEADER)", " (DELIMITER '|', NULL 'null')", " WITH BINARY")
        )
        if draw.chance(0.4):
            tables = [table for table in draw.schema.tables if table.kind == "r"]
            table = draw.pick(tables)
            columns = draw.some([c.name for c in table.columns if not c.generated], 1, 4)
            names = f" ({', '.join(draw.ident(name) for name in columns)})" if columns and draw.chance(0.6) else ""
            return [Step(f"COPY {self._selects.sources.table_name(table)}{names} TO STDOUT{options}")]
        query = self._query()
        return [Step(f"COPY ({query.text}) TO STDOUT{options}", ordered=query.total)]

    def _read_batch(self) -> list[Step]:
        queries = [self._query() for _ in range(2)]
        return [Step("; ".join(query.text for query in queries))]

    def _read_transaction(self) -> list[Step]:
        steps = [
            Step(
                self._draw.pick(("BEGIN", "BEGIN ISOLATION LEVEL REPEATABLE READ", "START TRANSACTION READ ONLY")),
                counted=False,
            )
        ]
        for _ in range(2):
            query = self._query()
            steps += [Step("SAVEPOINT s", counted=False), Step(query.text, ordered=query.total)]
            steps.append(Step("ROLLBACK TO SAVEPOINT s", counted=False))
        return [*steps, Step("COMMIT", counted=False)]

    def _read_explain(self) -> list[Step]:
        return [
            Step(
                f"EXPLAIN {self._draw.pick(('', '(COSTS OFF) ', '(COSTS OFF, FORMAT json) '))}{self._query().text}",
                opaque=True,
            )
        ]

    def _read_settings(self) -> list[Step]:
        set_, query, reset = self._draw.pick(
            (
                ("SET DateStyle = 'German, DMY'", None, "RESET DateStyle"),
                ("SET TimeZone = 'Asia/Tokyo'", None, "RESET TimeZone"),
                ("SET IntervalStyle = 'iso_8601'", None, "RESET IntervalStyle"),
                ("SET extra_float_digits = 0", "SHOW extra_float_digits", "RESET extra_float_digits"),
            )
        )
        made = self._query()
        return [
            Step(set_, counted=False),
            Step(query or made.text, ordered=query is None and made.total),
            Step(reset, counted=False),
        ]

    # -- writes -------------------------------------------------------------------------------------------------

    def write(self) -> Case:
        draw = self._draw
        self._selects.locks = False
        kind = draw.weighted(
            (6, "simple"), (3, "extended"), (1, "copy_from"), (0.8, "savepoint"), (0.5, "prepared"), (1, "several"),
            (0.5, "named"), (0.5, "chain"), (0.5, "cursor"),
        )  # fmt: skip
        steps = getattr(self, f"_write_{kind}")()
        changed = tuple(dict.fromkeys(self._writes.changed))
        looks = [self._look(name, alone=len(changed) == 1) for name in changed]
        if draw.chance(COMMIT_SHARE):
            return Case(self._number, (*steps, *looks), f"write {kind}", changed, commit=True)
        begin, end = Step("BEGIN", counted=False), Step("ROLLBACK", counted=False)
        return Case(self._number, (begin, *steps, *looks, end), f"write {kind}", changed)

    def _look(self, name: str, *, alone: bool) -> Step:
        """All of a table's rows. A trigger of another table's may have filled it in the order of the plan: then numbers
        that a sequence gave are left out."""
        table = self._draw.schema.table(name)
        numbered = {column.name for column in table.columns if column.has_default and column.family == "int"}
        columns = [quote_identifier(column.name) for column in table.columns if column.name not in numbered]
        shown = "*" if alone or not numbered else ", ".join(columns)
        return Step(f"SELECT {shown} FROM {quote_identifier(table.schema)}.{quote_identifier(name)}", counted=False)

    def _write_simple(self) -> list[Step]:
        return [Step(self._writes.statement())]

    def _write_extended(self) -> list[Step]:
        self._draw.parameters = []
        text, parameters = self._draw.settle(self._writes.statement())
        return [Step(text, parameters, binary=self._draw.chance(0.25))]

    def _write_copy_from(self) -> list[Step]:
        text, data = self._writes.copy_from(self._draw.pick(self._draw.schema.writable))
        return [Step(text, copy_data=data)]

    def _write_savepoint(self) -> list[Step]:
        one, other = self._writes.statement(), self._writes.statement()
        back = self._draw.pick(("ROLLBACK TO SAVEPOINT a", "RELEASE SAVEPOINT a"))
        return [Step("SAVEPOINT a", counted=False), Step(one), Step(back, counted=False), Step(other)]

    def _write_named(self) -> list[Step]:
        """The same write twice: what has a key of its own fails the second time, on both sides."""
        self._draw.parameters = []
        text, parameters = self._draw.settle(self._writes.statement())
        first = Step(text, parameters, statement=self._draw.session_name("s"))
        mark, back = Step("SAVEPOINT n", counted=False), Step("ROLLBACK TO SAVEPOINT n", counted=False)
        return [first, mark, replace(first, parsed=True, counted=False), back]

    def _write_chain(self) -> list[Step]:
        """A write, and what can be seen of it, before one Sync."""
        self._draw.parameters = []
        text, parameters = self._draw.settle(self._writes.statement())
        return [Step(text, parameters, chained=(self._extended(),))]

    def _write_cursor(self) -> list[Step]:
        """The row on which a cursor stands is written."""
        name, table = self._draw.session_name("cur"), self._draw.pick(self._draw.schema.writable)
        query, write = self._writes.where_current_of(table, name)
        fetch = Step(f"FETCH {self._draw.number(1, 3)} FROM {name}", ordered=True, counted=False)
        return [Step(f"DECLARE {name} CURSOR FOR {query}"), fetch, Step(write), Step(f"CLOSE {name}", counted=False)]

    def _write_several(self) -> list[Step]:
        return [Step(self._writes.statement()), self._extended(), Step(self._writes.statement())]

    def _write_prepared(self) -> list[Step]:
        name, text = self._draw.session_name("p"), self._writes.statement()
        return [Step(f"PREPARE {name} AS {text}"), Step(f"EXECUTE {name}"), Step(f"DEALLOCATE {name}", counted=False)]
