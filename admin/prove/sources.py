"""FROM items: relations under many names, sub-selects, functions, VALUES, joins of all forms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from admin.prove.model import Table, is_sortable
from admin.prove.scope import Col, Query, Scope, Source

if TYPE_CHECKING:
    from admin.prove.selects import Selects

_JOINS = ("JOIN", "INNER JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "LEFT OUTER JOIN")


class Sources:
    """Writes FROM items for the query generator `selects`, and adds to a scope what they bring."""

    def __init__(self, selects: Selects) -> None:
        self._selects = selects
        self._draw = selects.draw

    def clause(self, scope: Scope, depth: int) -> str:
        """The list after FROM."""
        items = [self.item(scope, depth)]
        while len(items) < 3 and self._draw.chance(0.12):
            items.append(self.item(scope, depth, lateral=True))
        return ", ".join(items)

    def item(self, scope: Scope, depth: int, *, lateral: bool = False) -> str:
        draw = self._draw
        if draw.chance(0.32):
            return self.join(scope, depth)
        return self.simple(scope, depth, lateral=lateral)

    def simple(self, scope: Scope, depth: int, *, lateral: bool = False) -> str:
        draw = self._draw
        kind = draw.weighted(
            (10, "relation"), (2 if depth > 0 else 0, "subselect"), (1.2 if lateral and depth > 0 else 0, "lateral"),
            (0.8, "function"), (0.6, "values"), (0.5 if lateral else 0, "lateral_function"),
        )  # fmt: skip
        return getattr(self, f"_{kind}")(scope, depth)  # type: ignore[no-any-return]

    # -- relations ----------------------------------------------------------------------------------------------

    def _relation(self, scope: Scope, _depth: int) -> str:
        draw, selects = self._draw, self._selects
        ctes = selects.visible_ctes()
        if ctes and draw.chance(0.6):
            name = draw.pick(sorted(ctes))
            text, source = self._named(name, ctes[name], draw.ident(name))
            scope.add(source)
            return text
        text, source = self.table(selects.pick_table())
        scope.add(source)
        return text

    def table(self, table: Table, *, sampled: bool = True) -> tuple[str, Source]:
        """A relation as written, and the source that it is."""
        draw = self._draw
        written = self.table_name(table)
        only = table.kind == "r" and draw.chance(0.04)
        text, source = self._named(table.name, [(c.name, c.family) for c in table.columns], written, table)
        if only:
            text = text.replace(written, draw.pick((f"ONLY {written}", f"ONLY ({written})")), 1)
        elif table.kind == "r" and draw.chance(0.03):
            text = text.replace(written, f"{written} *", 1)
        if sampled and table.kind in "rp" and draw.chance(0.0015):
            text += draw.pick((" TABLESAMPLE BERNOULLI (100)", " TABLESAMPLE SYSTEM (100) REPEATABLE (1)"))
        return text, source

    def table_name(self, table: Table) -> str:
        draw = self._draw
        name = draw.ident(table.name)
        if table.name in self._selects.visible_ctes() or draw.chance(0.12):
            return f"{draw.ident(table.schema)}.{name}"
        return name

    def _named(
        self, name: str, columns: list[tuple[str, str]], written: str, table: Table | None = None
    ) -> tuple[str, Source]:
        """With an alias, a list of column names, another relation's name as alias, or none of it."""
        draw = self._draw
        way = draw.weighted((6, "alias"), (1.5, "none"), (0.5, "columns"), (0.5, "shadow"))
        alias = name if way == "none" else draw.name()
        if way == "none" and self._selects.is_taken(name):
            way, alias = "alias", draw.name()
        if way == "shadow":
            other = self._selects.pick_table().name
            alias = other if not self._selects.is_taken(other) else alias
        self._selects.take(alias)
        shown = draw.ident(alias)
        suffix = "" if way == "none" else draw.pick((f" AS {shown}", f" {shown}"))
        names = [column for column, _ in columns]
        if way == "columns":
            count = draw.number(1, len(names))
            names = [draw.name("c") for _ in names[:count]] + names[count:]
            suffix += f" ({', '.join(names[:count])})"
        cols = tuple(
            Col(f"{shown}.{draw.ident(column)}", family, column)
            for column, (_, family) in zip(names, columns, strict=True)
        )
        key: tuple[str, ...] = ()
        if table is not None and table.primary_key:
            place = {old: new.text for (old, _), new in zip(columns, cols, strict=True)}
            key = tuple(place[column] for column in table.primary_key)
        return written + suffix, Source(shown, cols, key, way != "columns", table if way != "columns" else None)

    # -- others -------------------------------------------------------------------------------------------------

    def _subselect(self, scope: Scope, depth: int) -> str:
        return self._bracketed(self._selects.query(None, None, depth - 1), scope, "")

    def _lateral(self, scope: Scope, depth: int) -> str:
        inner = self._selects.query(Scope(list(scope.sources), scope.parent, list(scope.columns)), None, depth - 1)
        return self._bracketed(inner, scope, "LATERAL ")

    def _bracketed(self, query: Query, scope: Scope, prefix: str) -> str:
        alias, draw = self._draw.name(), self._draw
        self._selects.take(alias)
        names = [name for name, _ in query.columns]
        suffix = ""
        if len(set(names)) != len(names) or "?" in "".join(names) or draw.chance(0.15):
            names = [draw.name("c") for _ in names]
            suffix = f" ({', '.join(names)})"
        cols = tuple(
            Col(f"{alias}.{draw.ident(name)}", family, name)
            for name, (_, family) in zip(names, query.columns, strict=True)
        )
        scope.add(Source(alias, cols))
        return f"{prefix}({query.text}) {draw.pick(('AS ', ''))}{alias}{suffix}"

    def _function(self, scope: Scope, _depth: int) -> str:
        draw = self._draw
        alias, column = draw.name(), draw.name("c")
        self._selects.take(alias)
        text, families = draw.pick(
            (
                (f"generate_series(1, {draw.number(1, 5)})", ["int"]),
                (f"unnest(ARRAY[{draw.constant('text')}, {draw.constant('text')}])", ["text"]),
                (f"jsonb_each_text(jsonb_build_object('a', {draw.constant('text')}))", ["text", "text"]),
                (f"ROWS FROM (generate_series(1, 3), unnest(ARRAY[{draw.constant('int')}]))", ["int", "int"]),
                (f"string_to_table({draw.constant('text')}, '-')", ["text"]),
                ("generate_series(date '2025-01-01', date '2025-01-04', interval '1 day')", ["timestamptz"]),
            )
        )
        return self._function_item(scope, text, families, alias, column, "")

    def _lateral_function(self, scope: Scope, _depth: int) -> str:
        draw, expressions = self._draw, self._selects.expressions
        alias, column = draw.name(), draw.name("c")
        self._selects.take(alias)
        text, families = draw.pick(
            (
                (f"generate_series(1, abs({expressions.leaf('int', scope)}) % 4)", ["int"]),
                (f"unnest({expressions.leaf('text[]', scope)})", ["text"]),
                (f"string_to_table({expressions.leaf('text', scope)}, ' ')", ["text"]),
                (f"regexp_split_to_table({expressions.leaf('text', scope)}, 'a')", ["text"]),
                (f"jsonb_each_text(jsonb_build_object('a', {expressions.leaf('text', scope)}))", ["text", "text"]),
            )
        )
        return self._function_item(scope, text, families, alias, column, draw.pick(("LATERAL ", "")))

    def _function_item(self, scope: Scope, text: str, families: list[str], alias: str, column: str, prefix: str) -> str:
        names = [f"{column}_{number}" for number in range(len(families))]
        if self._draw.chance(0.25):
            text += " WITH ORDINALITY"
            names.append(f"{column}_n")
            families = [*families, "int"]
        scope.add(
            Source(alias, tuple(Col(f"{alias}.{n}", f, n) for n, f in zip(names, families, strict=True)), row=False)
        )
        return f"{prefix}{text} AS {alias} ({', '.join(names)})"

    def _values(self, scope: Scope, _depth: int) -> str:
        draw = self._draw
        families = [draw.pick(("int", "text", "numeric", "date", "bool")) for _ in range(draw.number(1, 3))]
        rows = [f"({', '.join(draw.constant(f) for f in families)})" for _ in range(draw.number(1, 4))]
        alias = draw.name()
        self._selects.take(alias)
        names = [draw.name("c") for _ in families]
        scope.add(Source(alias, tuple(Col(f"{alias}.{n}", f, n) for n, f in zip(names, families, strict=True))))
        return f"(VALUES {', '.join(rows)}) AS {alias} ({', '.join(names)})"

    # -- joins --------------------------------------------------------------------------------------------------

    def join(self, scope: Scope, depth: int) -> str:
        """Two or three items; what the result shows is added to the scope."""
        draw = self._draw
        left, right = Scope(parent=scope.parent), Scope(parent=scope.parent)
        text = self.simple(left, depth)
        for _ in range(draw.weighted((4, 1), (1, 2))):
            right = Scope(parent=scope.parent)
            other = self.simple(right, depth)
            text = self._joined(text, left, other, right)
            left = Scope([*left.sources, *right.sources], scope.parent, [*left.columns, *right.columns])
        for source in left.sources:
            scope.add(source)
        return text if draw.chance(0.7) else f"({text})"

    def _joined(self, text: str, left: Scope, other: str, right: Scope) -> str:
        draw = self._draw
        word = draw.pick(_JOINS)
        common = self._common(left, right)
        if draw.chance(0.1):
            return f"{text} CROSS JOIN {other}"
        if common and draw.chance(0.35):
            names = ", ".join(draw.ident(name) for name in draw.some(common, 1, 3))
            alias = ""
            if draw.schema.version >= 140000 and draw.chance(0.1):
                alias = f" AS {draw.name()}"
            return f"{text} {word} {other} USING ({names}){alias}"
        if len(left.sources) == 1 and len(right.sources) == 1 and draw.chance(0.15) and self._natural(left, right):
            return f"{text} NATURAL {word} {other}"
        return f"{text} {word} {other} ON {self._condition(left, right, word)}"

    def _common(self, left: Scope, right: Scope) -> list[str]:
        """Names for USING: once on either side, of one family."""
        found = []
        for column in right.columns:
            same = [c for c in left.columns if c.name == column.name]
            once = len(same) == 1 and len([c for c in right.columns if c.name == column.name]) == 1
            if once and same[0].family == column.family and is_sortable(column.family) and column.name:
                found.append(column.name)
        return found

    def _natural(self, left: Scope, right: Scope) -> bool:
        names = {c.name for c in left.columns} & {c.name for c in right.columns}
        return names <= set(self._common(left, right))

    def _condition(self, left: Scope, right: Scope, word: str) -> str:
        draw = self._draw
        pairs = [
            (a, b)
            for a in left.columns
            for b in right.columns
            if a.family == b.family and a.family in ("int", "text", "date", "timestamptz")
        ]
        named = [(a, b) for a, b in pairs if a.name == b.name or a.name.endswith("_id") or b.name.endswith("_id")]
        if not pairs:
            return "true" if word != "FULL JOIN" else "1 = 1"
        a, b = draw.pick(named or pairs) if draw.chance(0.8) else draw.pick(pairs)
        tests = [f"{a.text} = {b.text}"]
        if word != "FULL JOIN" and draw.chance(0.2):
            both = Scope([*left.sources, *right.sources], left.parent, [*left.columns, *right.columns])
            tests.append(self._selects.expressions.condition(both, 1))
        elif draw.chance(0.25) and len(pairs) > 1:
            a, b = draw.pick(pairs)
            tests.append(f"{a.text} = {b.text}")
        return " AND ".join(tests)
