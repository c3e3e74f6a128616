"""Queries: plain, grouped, set operations, VALUES, WITH in all its forms."""

from __future__ import annotations

from admin.prove.draw import Draw
from admin.prove.expressions import Expressions
from admin.prove.functions import WINDOWS
from admin.prove.model import Table, is_sortable
from admin.prove.scope import Col, Query, Scope
from admin.prove.sources import Sources

_SET_OPERATIONS = ("UNION ALL", "UNION ALL", "UNION", "INTERSECT", "EXCEPT", "INTERSECT ALL", "EXCEPT ALL")
_LOCKS = ("FOR UPDATE", "FOR SHARE", "FOR NO KEY UPDATE", "FOR KEY SHARE")


class Selects:
    """Query generator of one case."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw
        self.expressions = Expressions(draw)
        self.expressions.queries = self
        self._ctes: list[dict[str, list[tuple[str, str]]]] = []
        self._aliases: set[str] = set()
        self.sources = Sources(self)
        self.locks = True
        self._in_with = False

    # -- names --------------------------------------------------------------------------------------------------

    def visible_ctes(self) -> dict[str, list[tuple[str, str]]]:
        return {name: columns for level in self._ctes for name, columns in level.items()}

    def pick_table(self) -> Table:
        return self.draw.pick(self.draw.schema.tables)

    def is_taken(self, alias: str) -> bool:
        return alias in self._aliases

    def take(self, alias: str) -> None:
        self._aliases.add(alias)

    # -- queries ------------------------------------------------------------------------------------------------

    def query(self, parent: Scope | None, families: list[str] | None, depth: int, *, top: bool = False) -> Query:
        """A query that gives these families, or any."""
        draw = self.draw
        if depth > 0 and not self._in_with and draw.chance(0.18 if top else 0.05):
            return self._with(parent, families, depth, top)
        sortable = families is None or all(map(is_sortable, families))
        kind = draw.weighted(
            (8, "select"), (1.3 if depth > 0 and sortable else 0, "set"), (0.2, "values"),
            (0.2 if families is None else 0, "table"), (1.6 if sortable else 0.4, "grouped"),
        )  # fmt: skip
        if kind == "set":
            return self._set_operation(parent, families, depth)
        if kind == "values":
            return self._values(families)
        if kind == "table":
            table = self.pick_table()
            columns = tuple((column.name, column.family) for column in table.columns)
            return Query(f"TABLE {self.sources.table_name(table)}", columns)
        if kind == "grouped":
            return self._grouped(parent, families, depth)
        return self._select(parent, families, depth, top)

    def scalar(self, parent: Scope, family: str, depth: int) -> str:
        """A sub-select of one row and column."""
        draw, scope = self.draw, Scope(parent=parent)
        clause = self.sources.clause(scope, depth - 1)
        where = f" WHERE {self.expressions.condition(scope, depth)}" if draw.chance(0.8) else ""
        value = self.expressions.of(family, Scope(scope.sources, None, scope.columns), 1)
        own = any(column.text in value for column in scope.columns)
        if own and family in ("int", "numeric", "text", "date", "timestamptz") and draw.chance(0.6):
            return f"(SELECT {draw.pick(('max', 'min'))}({value}) FROM {clause}{where})"
        if family == "int" and draw.chance(0.5):
            return f"(SELECT count(*) FROM {clause}{where})"
        if not is_sortable(family):
            return self.expressions.leaf(family, parent)
        return f"(SELECT {value} FROM {clause}{where} ORDER BY 1 LIMIT 1)"

    def exists(self, parent: Scope, depth: int) -> str:
        scope = Scope(parent=parent)
        clause = self.sources.clause(scope, depth - 1)
        tests = [self.expressions.condition(scope, depth)]
        pairs = [
            (a, b)
            for a in scope.columns
            for b in parent.columns
            if a.family == b.family and a.family in ("int", "text")
        ]
        if pairs:
            a, b = self.draw.pick(pairs)
            tests.insert(0, f"{a.text} = {b.text}")
        word = self.draw.pick(("EXISTS", "NOT EXISTS"))
        return f"({word} (SELECT {self.draw.pick(('1', '*', ''))} FROM {clause} WHERE {' AND '.join(tests)}))"

    # -- plain --------------------------------------------------------------------------------------------------

    def _select(self, parent: Scope | None, families: list[str] | None, depth: int, top: bool) -> Query:
        draw, scope = self.draw, Scope(parent=parent)
        clause = self.sources.clause(scope, depth)
        where = f" WHERE {self.expressions.condition(scope, 2)}" if draw.chance(0.75) else ""
        window = ""
        if families is None and draw.chance(0.07):
            targets, columns = self._stars(scope)
        else:
            if families is None and draw.chance(0.12):
                window = self._named_window(scope)
            targets, columns = self._targets(scope, families, window)
        text = f"\0{', '.join(targets)} FROM {clause}{where}{window}"
        return self._finish(text, columns, scope, lockable=top and not window and "OVER" not in text)

    def _stars(self, scope: Scope) -> tuple[list[str], list[tuple[str, str]]]:
        """`*`, `t.*` or a whole row."""
        draw = self.draw
        source = draw.pick(scope.sources)
        if source.row and draw.chance(0.3):
            alias = source.alias
            ways = (
                (alias, "other"),
                (f"{alias}::text", "text"),
                (f"to_jsonb({alias})", "jsonb"),
                (f"count({alias})", "int"),
            )
            row, family = draw.pick(ways)
            return [f"{row} AS w"], [("w", family)]
        if draw.chance(0.5) and len(scope.sources) == 1:
            return ["*"], [(column.name, column.family) for column in source.columns]
        return [f"{source.alias}.*"], [(column.name, column.family) for column in source.columns]

    def _targets(
        self, scope: Scope, families: list[str] | None, window: str
    ) -> tuple[list[str], list[tuple[str, str]]]:
        draw = self.draw
        wanted = families or self._some_families(scope)
        targets, columns = [], []
        for family in wanted:
            if families is None and draw.chance(0.08):
                family, text = self._window_function(scope, window)
            else:
                text = self.expressions.of(family, scope, 2)
            name = draw.name("c")
            targets.append(f"{text} AS {name}")
            columns.append((name, family))
        if families is None and draw.chance(0.3):
            column = draw.pick(scope.columns) if scope.columns else None
            if column is not None and column.name and column.name not in {name for name, _ in columns}:
                targets.append(column.text)
                columns.append((column.name, column.family))
        return targets, columns

    def _some_families(self, scope: Scope) -> list[str]:
        known = [column.family for column in scope.columns] or ["int"]
        return [self.draw.pick(known) for _ in range(self.draw.number(1, 4))]

    def _finish(self, text: str, columns: list[tuple[str, str]], scope: Scope, *, lockable: bool) -> Query:
        """DISTINCT, ORDER BY, LIMIT, row locks."""
        draw = self.draw
        sortable = all(is_sortable(family) and family != "interval" for _, family in columns)
        positions = [str(number) for number in range(1, len(columns) + 1)]
        head = "SELECT "
        if sortable and draw.chance(0.1):
            if draw.chance(0.4):
                order = self._ordering(positions, shuffled=False)
                count = draw.number(1, len(positions))
                text = text.replace("\0", f"SELECT DISTINCT ON ({', '.join(positions[:count])}) ")
                return Query(f"{text} ORDER BY {order}{self._limit()}", tuple(columns), total=True)
            text = text.replace("\0", "SELECT DISTINCT ")
            head, lockable = "", False
        if head:
            text = text.replace("\0", draw.pick(("SELECT ", "SELECT ", "SELECT ", "SELECT ALL ")))
        if sortable and draw.chance(0.35):
            limit = self._limit()
            return Query(f"{text} ORDER BY {self._ordering(positions)}{limit}", tuple(columns), total=True)
        if head and scope.columns and draw.chance(0.08):
            usable = [column for column in scope.columns if is_sortable(column.family)]
            if usable:
                text += f" ORDER BY {draw.pick(usable).text}{draw.pick((' DESC', ' NULLS FIRST', ''))}"
        elif lockable and self.locks and draw.chance(0.12) and self._can_be_locked(scope, text):
            text += f" {draw.pick(_LOCKS)}"
            if draw.chance(0.4):
                text += f" OF {draw.pick(scope.sources).alias}"
            text += draw.pick(("", "", " NOWAIT", " SKIP LOCKED"))
        return Query(text, tuple(columns))

    def _can_be_locked(self, scope: Scope, text: str) -> bool:
        outer = any(word in text for word in ("LEFT", "RIGHT", "FULL", "count("))
        tables = [source.table for source in scope.sources]
        return not outer and all(table is not None and table.writable for table in tables)

    def _ordering(self, positions: list[str], *, shuffled: bool = True) -> str:
        draw = self.draw
        chosen = draw.some(positions, len(positions), len(positions)) if shuffled else positions
        return ", ".join(
            position + draw.pick(("", "", " DESC", " ASC NULLS FIRST", " DESC NULLS LAST")) for position in chosen
        )

    def _limit(self) -> str:
        draw = self.draw
        if draw.chance(0.5):
            return ""
        count = str(draw.number(0, 20))
        if draw.parameters is not None and draw.chance(0.5):
            count = draw.parameter(20, count)
        limit = draw.pick(
            (f" LIMIT {count}", f" FETCH FIRST ({count}) ROWS ONLY", f" FETCH NEXT ({count}) ROWS WITH TIES")
        )
        offset = f" OFFSET {draw.number(0, 5)}" if draw.chance(0.3) else ""
        return offset + limit if limit.startswith(" FETCH") else limit + offset

    # -- windows ------------------------------------------------------------------------------------------------

    def _window_function(self, scope: Scope, window: str) -> tuple[str, str]:
        draw = self.draw
        keys = self._total_key(scope)
        family, template, needs_total = draw.pick([w for w in WINDOWS if keys or not w[2]])
        over = self._window(scope, keys if needs_total else None)
        if window and not needs_total and draw.chance(0.7):
            over = draw.pick(("w", "(w)"))
        text = self.expressions.fill(template.replace("{over}", over.replace("{", "{{").replace("}", "}}")), scope, 1)
        return family, text if "OVER" in template else f"{text} OVER {over}"

    def _total_key(self, scope: Scope) -> list[str]:
        if not scope.sources or not all(source.key for source in scope.sources):
            return []
        return [text for source in scope.sources for text in source.key]

    def _window(self, scope: Scope, total: list[str] | None) -> str:
        draw = self.draw
        usable = [c.text for c in scope.columns if is_sortable(c.family)] or ["1"]
        partition = f"PARTITION BY {', '.join(draw.some(usable, 1, 2))} " if draw.chance(0.6) else ""
        if total:
            frame = draw.pick(("", "", " ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING", " ROWS UNBOUNDED PRECEDING"))
            return f"({partition}ORDER BY {', '.join(draw.some(usable, 0, 1) + total)}{frame})"
        order = f"ORDER BY {', '.join(draw.some(usable, 1, 2))}" if draw.chance(0.7) else ""
        frame = (
            draw.pick(("", "", " RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW", " GROUPS 1 PRECEDING"))
            if order
            else ""
        )
        return f"({partition}{order}{frame})"

    def _named_window(self, scope: Scope) -> str:
        return f" WINDOW w AS {self._window(scope, None)}".replace(" GROUPS 1 PRECEDING", "").replace(
            " RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW", ""
        )

    # -- groups -------------------------------------------------------------------------------------------------

    def _grouped(self, parent: Scope | None, families: list[str] | None, depth: int) -> Query:
        draw, scope = self.draw, Scope(parent=parent)
        clause = self.sources.clause(scope, depth)
        where = f" WHERE {self.expressions.condition(scope, 2)}" if draw.chance(0.6) else ""
        grouped, by = self._groups(scope)
        for _ in range(draw.number(1, 3)):
            grouped.columns.append(self.expressions.aggregate(scope))
        having = ""
        if draw.chance(0.3):
            flat = Scope(columns=[c for c in grouped.columns if is_sortable(c.family)])
            having = f" HAVING {self.expressions.condition(flat, 1)}"
        wanted = families
        if wanted is None:
            chosen = draw.some(grouped.columns, 1, 4)
            columns = [(draw.name("c"), column.family) for column in chosen]
            targets = [f"{column.text} AS {name}" for column, (name, _) in zip(chosen, columns, strict=True)]
        else:
            flat = Scope(columns=grouped.columns)
            columns = [(draw.name("c"), family) for family in wanted]
            targets = [f"{self.expressions.of(family, flat, 1)} AS {name}" for name, family in columns]
        text = f"\0{', '.join(targets)} FROM {clause}{where}{by}{having}"
        return self._finish(text, columns, Scope(), lockable=False)

    def _groups(self, scope: Scope) -> tuple[Scope, str]:
        """The columns that may be named after GROUP BY, and the clause."""
        draw = self.draw
        keyed = [
            source for source in scope.sources if source.table is not None and source.table.primary_key and source.key
        ]
        if keyed and draw.chance(0.25):  # the other columns depend on a primary key
            source = draw.pick(keyed)
            return Scope(columns=list(source.columns)), f" GROUP BY {', '.join(source.key)}"
        usable = [c for c in scope.columns if is_sortable(c.family) and c.family != "interval"]
        if not usable or draw.chance(0.2):
            return Scope(), draw.pick(("", "", " GROUP BY ()"))
        chosen = draw.some(usable, 1, 3)
        texts = [column.text for column in chosen]
        if len(set(texts)) != len(texts):
            chosen, texts = chosen[:1], texts[:1]
        grouped = Scope(columns=[Col(column.text, column.family) for column in chosen])
        way = draw.weighted((6, "plain"), (1, "ROLLUP"), (1, "CUBE"), (1, "sets"), (0.5, "expression"))
        if way == "plain":
            return grouped, f" GROUP BY {', '.join(texts)}"
        if way == "expression":
            column = chosen[0]
            text = f"lower({column.text})" if column.family == "text" else f"({column.text} IS NULL)"
            family = "text" if column.family == "text" else "bool"
            return Scope(columns=[Col(text, family)]), f" GROUP BY {text}"
        grouped.columns.append(Col(f"grouping({texts[0]})", "int"))
        if way == "sets":
            return grouped, f" GROUP BY GROUPING SETS (({', '.join(texts)}), ({texts[0]}), ())"
        if draw.schema.version >= 140000 and len(texts) > 1 and draw.chance(0.2):
            return grouped, f" GROUP BY DISTINCT {way} ({', '.join(texts)}), {way} ({texts[0]})"
        return grouped, f" GROUP BY {way} ({', '.join(texts)})"

    # -- set operations, VALUES, WITH ---------------------------------------------------------------------------

    def _set_operation(self, parent: Scope | None, families: list[str] | None, depth: int) -> Query:
        draw = self.draw
        pool = ("int", "text", "numeric", "date", "timestamptz", "bool")
        wanted = families or [draw.pick(pool) for _ in range(draw.number(1, 3))]
        arms = [self.query(parent, wanted, depth - 1) for _ in range(draw.weighted((4, 2), (1, 3)))]
        text, names = f"({arms[0].text})", arms[0].columns
        for arm in arms[1:]:
            text += f" {draw.pick(_SET_OPERATIONS)} ({arm.text})"
        columns = tuple((name, family) for (name, _), family in zip(names, wanted, strict=True))
        if draw.chance(0.4) and all(is_sortable(family) and family != "interval" for family in wanted):
            positions = [str(number) for number in range(1, len(wanted) + 1)]
            return Query(f"{text} ORDER BY {self._ordering(positions)}{self._limit()}", columns, total=True)
        return Query(text, columns)

    def _values(self, families: list[str] | None) -> Query:
        draw = self.draw
        wanted = families or [draw.pick(("int", "text", "numeric")) for _ in range(draw.number(1, 3))]
        rows = [f"({', '.join(draw.constant(family) for family in wanted)})" for _ in range(draw.number(1, 3))]
        columns = tuple((f"column{number}", family) for number, family in enumerate(wanted, start=1))
        return Query(f"VALUES {', '.join(rows)}", columns)

    def _with(self, parent: Scope | None, families: list[str] | None, depth: int, top: bool) -> Query:
        draw = self.draw
        level: dict[str, list[tuple[str, str]]] = {}
        parts = []
        recursive = draw.chance(0.25)
        self._ctes.append(level)
        for _ in range(draw.number(1, 2)):
            name = self.pick_table().name if draw.chance(0.3) else draw.name("q")
            if name in level or (recursive and name in {table.name for table in draw.schema.tables}):
                name = draw.name("q")
            if recursive and draw.chance(0.6):
                text, columns = self._recursive(name)
            else:
                text, columns = self._plain_cte(name, depth)
            parts.append(text)
            level[name] = columns
        self._in_with = True  # a WITH cannot follow another
        body = self.query(parent, families, depth - 1, top=top)
        self._in_with = False
        self._ctes.pop()
        word = "WITH RECURSIVE " if recursive else "WITH "
        return Query(f"{word}{', '.join(parts)} {body.text}", body.columns, body.total)

    def open_with(self) -> str:
        """A WITH for the statement that follows, which may name its query until `close_with`."""
        name = self.draw.name("q")
        text, columns = self._plain_cte(name, 2)
        self._ctes.append({name: columns})
        return f"WITH {text} "

    def close_with(self) -> None:
        self._ctes.pop()

    def _plain_cte(self, name: str, depth: int) -> tuple[str, list[tuple[str, str]]]:
        draw = self.draw
        query = self.query(None, None, depth - 1)
        names = [column for column, _ in query.columns]
        aliases = ""
        if len(set(names)) != len(names) or "?" in "".join(names) or draw.chance(0.2):
            names = [draw.name("c") for _ in names]
            aliases = f" ({', '.join(names)})"
        how = draw.pick(("AS", "AS", "AS MATERIALIZED", "AS NOT MATERIALIZED"))
        columns = [(column, family) for column, (_, family) in zip(names, query.columns, strict=True)]
        return f"{draw.ident(name)}{aliases} {how} ({query.text})", columns

    def _recursive(self, name: str) -> tuple[str, list[tuple[str, str]]]:
        """A counter that walks over a relation."""
        draw = self.draw
        scope = Scope()
        text, source = self.sources.table(self.pick_table(), sampled=False)
        scope.add(source)
        number, shown_text = self.expressions.leaf("int", scope), self.expressions.leaf("text", scope)
        test = self.expressions.condition(scope, 1)
        start = f"SELECT ({number})::bigint AS n, ({shown_text})::text AS v FROM {text} WHERE {test}"
        inner = Scope()
        again, other = self.sources.table(self.pick_table(), sampled=False)
        inner.add(other)
        link = next((c.text for c in other.columns if c.family == "int"), None)
        shown = draw.ident(name)
        if link is not None and draw.chance(0.6):
            value, most = self.expressions.leaf("text", inner), draw.number(3, 30)
            step = f"SELECT r.n + 1, ({value})::text FROM {shown} r JOIN {again} ON {link} = r.n WHERE r.n < {most}"
        else:
            step = f"SELECT r.n + 1, r.v FROM {shown} r WHERE r.n < {draw.number(3, 30)}"
        extra, columns = "", [("n", "int"), ("v", "text")]
        if draw.schema.version >= 140000 and draw.chance(0.1):
            extra = " CYCLE n, v SET is_cycle USING path"
            columns = [*columns, ("is_cycle", "bool")]
        elif draw.schema.version >= 140000 and draw.chance(0.1):
            extra = f" SEARCH {draw.pick(('DEPTH', 'BREADTH'))} FIRST BY n SET place"
        return f"{shown} (n, v) AS ({start} UNION {step}){extra}", columns
