"""Expressions of a wanted family over a scope. Sub-selects come from the query generator that is given."""

from __future__ import annotations

import re
from typing import Protocol

from admin.prove.draw import Draw
from admin.prove.functions import AGGREGATES, FUNCTIONS, RISKY, SINCE
from admin.prove.model import is_sortable
from admin.prove.scope import Col, Query, Scope

_HOLE = re.compile(r"\{(\w+(?:\[\])?)\}")
RISKY_SHARE = 0.004
_COMPARISONS = ("=", "=", "=", "<>", "<", "<=", ">", ">=", "!=")
_PATTERNS = ("'%a%'", "'A%'", "'_%'", "'%e_'", "'%'", "'acme%'", "'%SECRET%'")


class Queries(Protocol):
    def query(self, parent: Scope | None, families: list[str] | None, depth: int) -> Query: ...
    def scalar(self, parent: Scope, family: str, depth: int) -> str: ...
    def exists(self, parent: Scope, depth: int) -> str: ...


class Expressions:
    """Writes expressions; `risky` is set when one may fail for some rows only."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw
        self.queries: Queries | None = None
        self.risky = False

    def of(self, family: str, scope: Scope, depth: int = 2) -> str:
        """An expression of this family."""
        draw = self.draw
        if depth <= 0:
            return self.leaf(family, scope)
        if family == "bool" and draw.chance(0.6):
            return self.condition(scope, depth)
        if self.queries is not None and depth >= 2 and draw.chance(0.06):
            return self.queries.scalar(scope, family, depth - 1)
        kind = draw.weighted((5, "leaf"), (4, "function"), (1, "general"))
        if kind == "leaf":
            return self.leaf(family, scope)
        if kind == "general":
            return self._general(family, scope, depth)
        return self._function(family, scope, depth)

    def leaf(self, family: str, scope: Scope) -> str:
        """A column, or a constant where there is none."""
        own, outer = scope.of(family), scope.outer(family)
        if own and self.draw.chance(0.85):
            return self.draw.pick(own).text
        if outer and self.draw.chance(0.7):
            return self.draw.pick(outer).text
        return self.draw.constant(family)

    def column(self, family: str, scope: Scope) -> Col | None:
        own = scope.of(family)
        return self.draw.pick(own) if own else None

    def _function(self, family: str, scope: Scope, depth: int) -> str:
        draw = self.draw
        if draw.chance(RISKY_SHARE) and family in RISKY:
            self.risky = True
            return self.fill(draw.pick(RISKY[family]), scope, depth - 1)
        known = [t for t in FUNCTIONS.get(family, ()) if self._is_known(t)]
        if not known:
            return self._general(family, scope, depth)
        return self.fill(draw.pick(known), scope, depth - 1)

    def _is_known(self, template: str) -> bool:
        return all(self.draw.schema.version >= since for part, since in SINCE.items() if part in template)

    def fill(self, template: str, scope: Scope, depth: int) -> str:
        """A template with its holes filled; equal numbered holes alike."""
        named: dict[str, str] = {}

        def hole(match: re.Match[str]) -> str:
            name = match[1]
            if name == "small":
                return str(self.draw.number(1, 6))
            if name == "pattern":
                return self.draw.pick(_PATTERNS)
            if name == "any":
                return self.leaf(self.draw.pick(self._families(scope)), scope)
            if name == "sortable":
                return self.leaf(self.draw.pick([f for f in self._families(scope) if is_sortable(f)] or ["int"]), scope)
            if name[-1].isdigit():
                return named.setdefault(name, self.of(name[:-1], scope, min(depth, 1)))
            return self.of(name, scope, depth)

        return _HOLE.sub(hole, template.replace("{{", "\2").replace("}}", "\3")).replace("\2", "{").replace("\3", "}")

    def _families(self, scope: Scope) -> list[str]:
        return sorted({column.family for column in scope.columns}) or ["int"]

    def _general(self, family: str, scope: Scope, depth: int) -> str:
        """What every family has."""
        one = self.of(family, scope, depth - 1)
        other = self.of(family, scope, depth - 1)
        ways = [
            f"CASE WHEN {self.of('bool', scope, depth - 1)} THEN {one} ELSE {other} END",
            f"coalesce({one}, {other})",
            f"(SELECT {one})",
            f"CASE {self.leaf('int', scope)} WHEN {self.draw.constant('int')} THEN {one} ELSE {other} END",
        ]
        if is_sortable(family):
            ways += [f"nullif({one}, {other})", f"greatest({one}, {other})", f"least({one}, {other})"]
        if family in ("int", "text", "numeric", "date", "timestamptz"):
            ways += [f"(ARRAY[{one}, {other}])[1]", f"CAST({one} AS {self.draw.type_of(family)})"]
        return self.draw.pick(ways)

    # -- conditions ---------------------------------------------------------------------------------------------

    def condition(self, scope: Scope, depth: int = 2) -> str:
        """A boolean expression, mostly comparisons of columns with values that occur."""
        draw = self.draw
        kind = draw.weighted(
            (8, "compare"), (2, "null"), (2, "in"), (2, "between"), (2, "logic"), (2, "call"), (1, "distinct"),
            (1.2, "exists"), (1.2, "subquery"), (0.7, "row"), (0.4, "not"),
        )  # fmt: skip
        if kind in ("exists", "subquery") and (self.queries is None or depth < 2):
            kind = "compare"
        if kind in ("logic", "not", "call") and depth < 1:
            kind = "compare"
        return getattr(self, f"_{kind}")(scope, depth)  # type: ignore[no-any-return]

    def _some_column(self, scope: Scope) -> Col:
        usable = [column for column in scope.columns if is_sortable(column.family)]
        return self.draw.pick(usable) if usable else Col(self.draw.constant("int"), "int")

    def _compare(self, scope: Scope, depth: int) -> str:
        column = self._some_column(scope)
        if self.draw.chance(0.35):
            other = self.of(column.family, scope, depth - 1)
        else:
            other = self.draw.constant(column.family, bare=True)
        operator = self.draw.pick(_COMPARISONS)
        if self.draw.chance(0.02):
            operator = f"OPERATOR(pg_catalog.{operator})"
        return (
            f"({column.text} {operator} {other})" if self.draw.chance(0.85) else f"({other} {operator} {column.text})"
        )

    def _distinct(self, scope: Scope, _depth: int) -> str:
        column = self._some_column(scope)
        word = "IS NOT DISTINCT FROM" if self.draw.chance(0.5) else "IS DISTINCT FROM"
        return f"({column.text} {word} {self.draw.constant(column.family, bare=True)})"

    def _null(self, scope: Scope, _depth: int) -> str:
        rows = [source.alias for source in scope.sources if source.row]
        if rows and self.draw.chance(0.1):
            return f"({self.draw.pick(rows)} IS {self.draw.pick(('NOT NULL', 'NULL', 'DISTINCT FROM NULL'))})"
        column = self.draw.pick(scope.columns) if scope.columns else self._some_column(scope)
        return f"({column.text} IS {self.draw.pick(('NULL', 'NOT NULL'))})"

    def _in(self, scope: Scope, _depth: int) -> str:
        column = self._some_column(scope)
        values = [self.draw.constant(column.family, bare=True) for _ in range(self.draw.number(1, 5))]
        if self.draw.chance(0.2):
            word, brackets = self.draw.pick((("= ANY", "ARRAY[{}]::{}[]"), ("<> ALL", "ARRAY[{}]::{}[]")))
            return f"({column.text} {word} ({brackets.format(', '.join(values), self.draw.type_of(column.family))}))"
        return f"({column.text} {self.draw.pick(('IN', 'IN', 'NOT IN'))} ({', '.join(values)}))"

    def _between(self, scope: Scope, _depth: int) -> str:
        column = self._some_column(scope)
        low, high = (self.draw.constant(column.family, bare=True) for _ in range(2))
        word = self.draw.pick(("BETWEEN", "BETWEEN SYMMETRIC", "NOT BETWEEN"))
        return f"({column.text} {word} {low} AND {high})"

    def _logic(self, scope: Scope, depth: int) -> str:
        parts = [self.condition(scope, depth - 1) for _ in range(self.draw.number(2, 3))]
        return "(" + f" {self.draw.pick(('AND', 'OR'))} ".join(parts) + ")"

    def _not(self, scope: Scope, depth: int) -> str:
        return f"(NOT {self.condition(scope, depth - 1)})"

    def _call(self, scope: Scope, depth: int) -> str:
        return self._function("bool", scope, depth)

    def _row(self, scope: Scope, _depth: int) -> str:
        columns = [self._some_column(scope) for _ in range(2)]
        left = ", ".join(column.text for column in columns)
        rows = [
            "(" + ", ".join(self.draw.constant(column.family) for column in columns) + ")"
            for _ in range(self.draw.number(1, 3))
        ]
        return f"(({left}) IN ({', '.join(rows)}))" if self.draw.chance(0.7) else f"(({left}) >= {rows[0]})"

    def _exists(self, scope: Scope, depth: int) -> str:
        assert self.queries is not None
        return self.queries.exists(scope, depth - 1)

    def _subquery(self, scope: Scope, depth: int) -> str:
        assert self.queries is not None
        columns = [self._some_column(scope) for _ in range(self.draw.weighted((4, 1), (1, 2)))]
        inner = self.queries.query(scope, [column.family for column in columns], depth - 1)
        left = ", ".join(column.text for column in columns)
        left = f"({left})" if len(columns) > 1 else left
        word = self.draw.pick(("IN", "NOT IN", "= ANY", "= SOME", "<> ALL"))
        return f"({left} {word} ({inner.text}))"

    # -- aggregates ---------------------------------------------------------------------------------------------

    def aggregate(self, scope: Scope) -> Col:
        """An aggregate over the scope's rows."""
        # of this level's own columns: an aggregate of outer ones alone belongs to the query outside
        scope = Scope(scope.sources, None, scope.columns)
        family, template = self.draw.pick(AGGREGATES)
        text = self.fill(template, scope, 1)
        if (
            self.draw.chance(0.1)
            and "FILTER" not in template
            and template[:5] not in ("round", "mode(", "perce", "rank(")
        ):
            text += f" FILTER (WHERE {self.condition(scope, 1)})"
        return Col(text, family)
