"""INSERT, UPDATE, DELETE and MERGE in all their forms, and rows for COPY FROM."""

from __future__ import annotations

from admin.prove.model import Column, ForeignKey, Table
from admin.prove.scope import Col, Scope, Source
from admin.prove.selects import Selects

FRESH = 1_000_000  # ids that no row has
_SETTABLE = ("int", "numeric", "text", "bool", "date", "timestamptz", "timestamp", "jsonb", "text[]")


class Writes:
    """Write generator over a case's query generator. `changed` collects the tables that were written."""

    def __init__(self, selects: Selects) -> None:
        self._selects = selects
        self._draw = selects.draw
        self._expressions = selects.expressions
        self.changed: list[str] = []
        self.single_row = False

    def statement(self, *, with_returning: bool = True) -> str:
        """One write."""
        draw = self._draw
        kinds = [(4.0, self.insert), (3.0, self.update), (2.0, self.delete)]
        if draw.schema.version >= 150000:
            kinds.append((1.2, self.merge))
        writer = draw.weighted(*kinds)
        table = draw.pick(draw.schema.writable)
        with_query = draw.chance(0.08)
        head = self._selects.open_with() if with_query else ""
        text = head + writer(table, with_returning)
        if with_query:
            self._selects.close_with()
        elif draw.chance(0.06) and not text.startswith("MERGE") and self._has_plain_target(text):
            text = self._in_cte(text)
        self.changed.append(table.name)
        return text

    def _has_plain_target(self, text: str) -> bool:
        return " RETURNING " in text and "WITH " not in text[:5]

    def _in_cte(self, text: str) -> str:
        """A write in a WITH, and a SELECT of what it returns beside a relation."""
        name = self._draw.name("w")
        tail = self._draw.pick((f"SELECT * FROM {name}", f"SELECT count(*) FROM {name}", f"TABLE {name}"))
        return f"WITH {name} AS ({text}) {tail}"

    def _target(self, table: Table, *, alias_share: float = 0.5) -> tuple[str, Source]:
        draw = self._draw
        written = self._selects.sources.table_name(table)
        if draw.chance(alias_share) or self._selects.is_taken(table.name):
            alias = draw.name()
            self._selects.take(alias)
            text = f"{written} AS {alias}"
        else:
            alias, text = draw.ident(table.name), written
            self._selects.take(table.name)
        columns = tuple(Col(f"{alias}.{draw.ident(c.name)}", c.family, c.name) for c in table.columns)
        return text, Source(alias, columns, table=table)

    def _returning(self, source: Source, *, joined: bool = False) -> str:
        """Of the target only: which row of a joined relation counts is not settled."""
        draw = self._draw
        if not draw.chance(0.55):
            return ""
        scope = Scope([source], None, list(source.columns))
        ways = [
            f"{source.alias}.*" if joined else "*",
            f"{source.alias}.*",
            ", ".join(c.text for c in draw.some(source.columns, 1, 4)),
        ]
        ways.append(f"{self._expressions.of('text', scope, 1)} AS r")
        ways.append(f"{self._expressions.of('int', scope, 1)} AS r, {draw.pick(source.columns).text}")
        if draw.schema.version >= 180000 and not joined and draw.chance(0.1):
            shown = draw.some(source.columns, 1, 3)
            ways = [
                ", ".join(f"old.{draw.ident(c.name)} AS o{n}, new.{draw.ident(c.name)}" for n, c in enumerate(shown))
            ]
        elif draw.chance(0.15):
            ways = [source.alias, f"to_jsonb({source.alias}) AS r", f"{source.alias}::text AS r"]
        return f" RETURNING {draw.pick(ways)}"

    # -- values -------------------------------------------------------------------------------------------------

    def value(self, table: Table, column: Column) -> str:
        """A value that the column takes, most of the time; SQL."""
        draw = self._draw
        text = self.text(table, column)
        if text is None and draw.chance(0.5):
            return "NULL"
        return draw.written(text, column.family, bare=True)

    def text(self, table: Table, column: Column) -> str | None:
        """A value as text."""
        draw = self._draw
        if column.tenant:
            return draw.schema.tenant
        key = self._foreign_key(table, column)
        if key is not None:
            parent = next((t for t in draw.schema.tables if t.name == key.parent), None)
            known = parent.column(key.parent_columns[key.columns.index(column.name)]).samples if parent else ()
            if not column.not_null and draw.chance(0.1):
                return None
            return draw.pick(known) if known else None
        if self._in_key(table, column):
            return self._fresh(column)
        if not column.not_null and draw.chance(0.12):
            return None
        text = draw.text_of(column.family, column if column.samples else None)
        if text is None and column.not_null and draw.chance(0.95):
            text = draw.pick(column.samples) if column.samples else draw.text_of(column.family)
        return text[: column.max_length] if text is not None and column.max_length else text

    def _fresh(self, column: Column) -> str | None:
        draw = self._draw
        number = draw.number(FRESH, FRESH * 1000)
        if column.family in ("int", "numeric"):
            return str(number)
        if column.family == "text":
            text = f"{number}{draw.pick(column.samples) if column.samples else 'x'}"
            return text[: column.max_length] if column.max_length else text
        return draw.text_of(column.family, column)

    def _in_key(self, table: Table, column: Column) -> bool:
        return any(column.name in key for key in table.keys)

    def _foreign_key(self, table: Table, column: Column) -> ForeignKey | None:
        return next((key for key in table.foreign_keys if column.name in key.columns), None)

    def _given_columns(self, table: Table) -> list[Column]:
        """Those that an INSERT names: all that have to be, and some of the others, in any order."""
        draw = self._draw
        chosen = []
        for column in table.columns:
            if column.generated or (column.identity == "always"):
                continue
            must = column.not_null and not column.has_default and not column.tenant
            share = 0.35 if column.tenant else 0.3 if column.identity else 0.6
            if must or draw.chance(share):
                chosen.append(column)
        return draw.some(chosen, len(chosen), len(chosen)) if draw.chance(0.5) else chosen

    # -- INSERT -------------------------------------------------------------------------------------------------

    def insert(self, table: Table, with_returning: bool = True) -> str:
        draw = self._draw
        text, source = self._target(table, alias_share=0.15)
        kind = draw.weighted((6, "values"), (3, "select"), (0.3, "default"), (0.7, "positional"))
        columns = self._given_columns(table)
        if kind == "default" or not columns:
            return f"INSERT INTO {text} DEFAULT VALUES{self._returning(source)}"
        if kind == "positional":
            columns = list(table.columns)
            if any(c.generated for c in columns):
                return self.insert(table, with_returning)
            values = ", ".join(self.value(table, c) for c in columns)
            return f"INSERT INTO {text} VALUES ({values}){self._returning(source)}"
        names = f"({', '.join(draw.ident(c.name) for c in columns)})"
        overriding = draw.pick((" OVERRIDING USER VALUE", " OVERRIDING SYSTEM VALUE")) if draw.chance(0.04) else ""
        settled = kind == "values" or bool(table.keys)
        conflict = self._on_conflict(table, source) if settled and draw.chance(0.25) else ""
        if kind == "values":
            rows = [self._row(table, columns) for _ in range(draw.weighted((4, 1), (2, 2), (1, 3)))]
            body = f"VALUES {', '.join(rows)}"
        else:
            body = self._selected(table, columns, renumbered=bool(overriding), ordered=bool(conflict))
        returning = self._returning(source) if with_returning else ""
        return f"INSERT INTO {text} {names}{overriding} {body}{conflict}{returning}"

    def _row(self, table: Table, columns: list[Column]) -> str:
        draw = self._draw
        values = []
        for column in columns:
            can_default = column.has_default or column.tenant or not column.not_null
            values.append("DEFAULT" if can_default and draw.chance(0.08) else self.value(table, column))
        return f"({', '.join(values)})"

    def _selected(self, table: Table, columns: list[Column], *, renumbered: bool, ordered: bool) -> str:
        """INSERT … SELECT: of the same table or any query. ordered: of rows that collide the first one stays."""
        draw = self._draw
        values = []
        written, source = self._selects.sources.table(table, sampled=False)
        scope = Scope([source], None, list(source.columns))
        by_name = {old.name: new.text for old, new in zip(table.columns, source.columns, strict=True)}
        numbered = renumbered or any(c.has_default and c.family == "int" and c not in columns for c in table.columns)
        for column in columns:
            own = by_name.get(column.name)
            if self._in_key(table, column) and not column.tenant and self._foreign_key(table, column) is None:
                fresh = {
                    "int": f"({own} + {draw.number(FRESH, FRESH * 1000)})",
                    "text": f"('{draw.number(1, FRESH)}' || {own})",
                }
                value = fresh.get(column.family, str(own))
            elif column.tenant or draw.chance(0.6) or own is None:
                value = str(own) if own is not None and draw.chance(0.9) else self.value(table, column)
            else:
                value = str(own)
            if column.max_length and column.family == "text" and column.name in {n for k in table.keys for n in k}:
                value = f"left({value}, {column.max_length})"
            values.append(value)
        where = f" WHERE {self._expressions.condition(scope, 2)}" if draw.chance(0.8) else ""
        key = ", ".join(source.key)
        in_order = numbered or ordered or draw.chance(0.5)  # a sequence gives numbers in order
        order = f" ORDER BY {key}" if key and in_order else ""
        limit = f" LIMIT {draw.number(1, 5)}" if order and draw.chance(0.6) else ""
        return f"SELECT {', '.join(values)} FROM {written}{where}{order}{limit}"

    def _on_conflict(self, table: Table, source: Source) -> str:
        draw = self._draw
        if not table.constraints or draw.chance(0.25):
            return " ON CONFLICT DO NOTHING"
        name, key = draw.pick(table.constraints)
        target = f"({', '.join(draw.ident(c) for c in key)})"
        if draw.chance(0.3):
            target = f"ON CONSTRAINT {draw.ident(name)}"
        if draw.chance(0.3):
            return f" ON CONFLICT {target} DO NOTHING"
        settable = [c for c in self._free_columns(table) if c.family in _SETTABLE]
        if not settable:
            return f" ON CONFLICT {target} DO NOTHING"
        sets = []
        for column in draw.some(settable, 1, 2):
            name = draw.ident(column.name)
            values = [f"excluded.{name}", f"{source.alias}.{name}", *(["DEFAULT"] if column.has_default else [])]
            sets.append(f"{name} = {draw.pick(values)}")
        scope = Scope([source], None, list(source.columns))
        where = f" WHERE {self._expressions.condition(scope, 1)}" if draw.chance(0.3) else ""
        return f" ON CONFLICT {target} DO UPDATE SET {', '.join(sets)}{where}"

    def _free_columns(self, table: Table) -> list[Column]:
        """Columns in no key, foreign key or generation: an UPDATE of them meets no other row."""
        bound = {name for key in table.keys for name in key} | {n for k in table.foreign_keys for n in k.columns}
        return [c for c in table.columns if not (c.generated or c.tenant or c.identity or c.name in bound)]

    # -- UPDATE, DELETE -----------------------------------------------------------------------------------------

    def update(self, table: Table, with_returning: bool = True) -> str:
        draw = self._draw
        text, source = self._target(table)
        scope = Scope([source], None, list(source.columns))
        columns = [c for c in self._free_columns(table) if c.family in _SETTABLE or c.is_enum] or list(table.columns)
        sets = self._assignments(table, draw.some(columns, 1, 3), scope)
        using = self._using(scope) if draw.chance(0.3) else ""
        where = f" WHERE {self._where(scope)}" if using or draw.chance(0.9) else ""
        returning = self._returning(source, joined=bool(using)) if with_returning else ""
        return f"UPDATE {text} SET {sets}{' FROM ' + using if using else ''}{where}{returning}"

    def _assignments(self, table: Table, columns: list[Column], scope: Scope) -> str:
        """Values of the target's own columns only: which row of a joined one is taken is not settled."""
        draw = self._draw
        target = Scope(scope.sources[:1], None, list(scope.sources[0].columns))
        parts = []
        for column in columns:
            name = draw.ident(column.name)
            way = draw.weighted((4, "value"), (3, "expression"), (0.5, "default"), (0.4, "scalar"))
            if column.is_enum or column.max_length:
                way = "value"
            if way == "default" and (column.has_default or not column.not_null):
                parts.append(f"{name} = DEFAULT")
            elif way == "expression":
                value = self._expressions.of(column.family, target, 1)
                own = next(c.text for c in target.columns if c.name == column.name)
                parts.append(f"{name} = coalesce({value}, {own})" if column.not_null else f"{name} = {value}")
            elif way == "scalar" and not column.not_null:
                parts.append(f"{name} = {self._selects.scalar(target, column.family, 1)}")
            else:
                parts.append(f"{name} = {self.value(table, column)}")
        if len(columns) > 1 and draw.chance(0.15):
            names = ", ".join(draw.ident(c.name) for c in columns)
            values = ", ".join(self.value(table, c) for c in columns)
            return f"({names}) = {draw.pick(('', 'ROW'))}({values})"
        if len(columns) > 1 and draw.chance(0.08):
            names = ", ".join(draw.ident(c.name) for c in columns)
            values = ", ".join(next(t.text for t in target.columns if t.name == c.name) for c in columns)
            return f"({names}) = (SELECT {values})"
        return ", ".join(parts)

    def _using(self, scope: Scope) -> str:
        return self._selects.sources.item(scope, 1)

    def _where(self, scope: Scope) -> str:
        tests = [self._expressions.condition(scope, 2)]
        target = scope.sources[0]
        others = [c for s in scope.sources[1:] for c in s.columns]
        pairs = [(a, b) for a in target.columns for b in others if a.family == b.family and a.family in ("int", "text")]
        if pairs:
            a, b = self._draw.pick(pairs)
            tests.insert(0, f"{a.text} = {b.text}")
        return " AND ".join(tests)

    def delete(self, table: Table, with_returning: bool = True) -> str:
        draw = self._draw
        text, source = self._target(table)
        scope = Scope([source], None, list(source.columns))
        using = self._using(scope) if draw.chance(0.25) else ""
        where = f" WHERE {self._where(scope)}" if using or draw.chance(0.92) else ""
        returning = self._returning(source, joined=bool(using)) if with_returning else ""
        return f"DELETE FROM {text}{' USING ' + using if using else ''}{where}{returning}"

    def where_current_of(self, table: Table, cursor: str) -> tuple[str, str]:
        """The query of a cursor over one table, in an order that is settled, and a write of the row it stands on."""
        draw = self._draw
        text, source = self._target(table)
        scope = Scope([source], None, list(source.columns))
        order = ", ".join(_named(source, name) for name in table.primary_key or [c.name for c in table.columns[:1]])
        lock = draw.pick((" FOR UPDATE", " FOR UPDATE", " FOR NO KEY UPDATE"))
        query = f"SELECT * FROM {text} WHERE {self._expressions.condition(scope, 1)} ORDER BY {order}{lock}"
        target, own = self._target(table)
        self.changed.append(table.name)
        returning = self._returning(own)
        if draw.chance(0.4):
            return query, f"DELETE FROM {target} WHERE CURRENT OF {cursor}{returning}"
        columns = [c for c in self._free_columns(table) if c.family in _SETTABLE] or [table.columns[-1]]
        sets = self._assignments(table, draw.some(columns, 1, 2), Scope([own], None, list(own.columns)))
        return query, f"UPDATE {target} SET {sets} WHERE CURRENT OF {cursor}{returning}"

    # -- MERGE --------------------------------------------------------------------------------------------------

    def merge(self, table: Table, with_returning: bool = True) -> str:
        """The source has one row for each of the target's: its key is the target's primary key, or constants."""
        draw = self._draw
        keys = [c for c in table.primary_key if not table.column(c).tenant]
        if not keys:
            return self.update(table, with_returning)
        text, target = self._target(table)
        alias = draw.name()
        self._selects.take(alias)
        written, inner = self._selects.sources.table(table, sampled=False)
        scope = Scope([inner], None, list(inner.columns))
        first = table.column(keys[0])
        shifts = ["", "", f" + {draw.number(FRESH, FRESH * 1000)}", " + 3"]
        shift = draw.pick(shifts[:3] if first.name in table.crossing_keys else shifts)
        by_name = {old.name: new.text for old, new in zip(table.columns, inner.columns, strict=True)}
        shown = []
        for column in table.columns:
            value = by_name[column.name]
            if column.name == first.name and first.family == "int":
                value = f"{value}{shift}"
            shown.append(f"{value} AS {draw.ident(column.name)}")
        source = Source(alias, tuple(Col(f"{alias}.{draw.ident(c.name)}", c.family, c.name) for c in table.columns))
        where = f" WHERE {self._expressions.condition(scope, 1)}"
        on = " AND ".join(f"{_named(target, key)} = {_named(source, key)}" for key in keys)
        both = Scope([target, source], None, [*target.columns, *source.columns])
        clauses = self._merge_clauses(table, target, source, both)
        returning = ""
        if draw.schema.version >= 170000 and with_returning:
            returning = self._returning(target)
        rows = f"(SELECT {', '.join(shown)} FROM {written}{where}) AS {alias}"
        return f"MERGE INTO {text} USING {rows} ON {on} {clauses}{returning}"

    def _merge_clauses(self, table: Table, target: Source, source: Source, both: Scope) -> str:
        draw = self._draw
        parts = []
        matched = [c for c in self._free_columns(table) if c.family in _SETTABLE]
        for _ in range(draw.weighted((4, 1), (1, 2))):
            test = f" AND {self._expressions.condition(both, 1)}" if draw.chance(0.5) else ""
            action = draw.pick(("DELETE", "DO NOTHING", "update", "update"))
            if action == "update":
                column = draw.pick(matched) if matched else None
                if column is None:
                    action = "DO NOTHING"
                else:
                    value = draw.pick((_named(source, column.name), self.value(table, column)))
                    action = f"UPDATE SET {draw.ident(column.name)} = {value}"
            parts.append(f"WHEN MATCHED{test} THEN {action}")
            if not test:
                break
        if draw.chance(0.6):
            columns = [c for c in table.columns if not (c.generated or c.identity == "always")]
            columns = [c for c in columns if not c.tenant or draw.chance(0.4)]
            names = ", ".join(draw.ident(c.name) for c in columns)
            values = ", ".join(_named(source, c.name) for c in columns)
            test = (
                f" AND {self._expressions.condition(Scope([source], None, list(source.columns)), 1)}"
                if draw.chance(0.3)
                else ""
            )
            action = f"INSERT ({names}) VALUES ({values})" if draw.chance(0.85) else "DO NOTHING"
            parts.append(f"WHEN NOT MATCHED{test} THEN {action}")
        if draw.schema.version >= 170000 and draw.chance(0.2):
            test = self._expressions.condition(Scope([target], None, list(target.columns)), 1)
            parts.append(f"WHEN NOT MATCHED BY SOURCE AND {test} THEN {draw.pick(('DELETE', 'DO NOTHING'))}")
        return " ".join(parts)

    # -- COPY ---------------------------------------------------------------------------------------------------

    def copy_from(self, table: Table) -> tuple[str, bytes]:
        """COPY … FROM STDIN with a few rows."""
        draw = self._draw
        columns = self._given_columns(table) or list(table.columns)
        names = ", ".join(draw.ident(c.name) for c in columns)
        rows = [[self.text(table, c) for c in columns] for _ in range(draw.number(0, 4))]
        self.changed.append(table.name)
        name = self._selects.sources.table_name(table)
        if draw.chance(0.5):
            lines = ["\t".join(_copy_text(value) for value in row) for row in rows]
            return f"COPY {name} ({names}) FROM STDIN", "".join(line + "\n" for line in lines).encode()
        lines = [",".join("" if v is None else '"' + v.replace('"', '""') + '"' for v in row) for row in rows]
        header = draw.chance(0.3)
        if header:
            lines.insert(0, ",".join(c.name for c in columns))
        options = "FORMAT csv, HEADER" if header else "FORMAT csv"
        return f"COPY {name} ({names}) FROM STDIN WITH ({options})", "".join(line + "\n" for line in lines).encode()


def _named(source: Source, name: str) -> str:
    return next(column.text for column in source.columns if column.name == name)


def _copy_text(value: str | None) -> str:
    if value is None:
        return "\\N"
    return value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")
