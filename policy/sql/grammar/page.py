"""docs/statements.md: `python -m policy.sql.grammar.page > docs/statements.md`, or `tenantgate statements`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from policy.sql import builtin_functions as builtin
from policy.sql.grammar.parts import IN_DDL, IN_QUERIES
from policy.sql.grammar.samples import STRATEGIES, Became, Strategy, Verdict, judge
from policy.sql.grammar.statements import NEVER_ALONE, STATEMENTS

_HEAD = """\
# What becomes of each statement

Made by `tenantgate statements`; a test keeps it current. Do not edit.

Every class of PostgreSQL's grammar, as its parser has it, stands here with one outcome per isolation strategy. It is
found by compiling a sample as a tenant with every permission, `schema:*:ddl` among them, without row filters or
masks, for a target of version 18. What is not in these tables is refused: statements, nodes and functions alike.

The last column is of a database whose tenant has its target to itself, which is where stored code is allowed
(`schema:*:ddl`, [decision 17](decisions/0017-stored-code-alone-on-a-target.md)).

- **passed**: sent as the client wrote it. In a database of the tenant's own nothing else is needed.
- **rewritten**: guarded, qualified or stamped. Roles with filters or masks have this in every strategy.
- **virtual**: a question to the catalogs, answered from what the tenant may see of them.
- **refused**: never sent; the client gets the SQLSTATE and the hint.
"""

_COLUMNS = tuple(strategy.value for strategy in STRATEGIES)
# The groups of builtin_functions.py.
_FUNCTIONS: tuple[tuple[str, frozenset[str]], ...] = (
    ("mathematics", builtin.MATHEMATICS),
    ("strings", builtin.STRINGS),
    ("dates and times", builtin.DATES),
    ("conversions", builtin.CONVERSIONS),
    ("JSON", builtin.JSON),
    ("arrays", builtin.ARRAYS),
    ("ranges", builtin.RANGES),
    ("text search", builtin.TEXT_SEARCH),
    ("geometry and network", builtin.GEOMETRY_AND_NETWORK),
    ("XML, of values", builtin.XML),
    ("aggregates", builtin.AGGREGATES),
    ("window functions", builtin.WINDOWS),
    ("enums and UUIDs", builtin.ENUMS_AND_UUIDS),
    ("hashes", builtin.HASHES),
    ("sets and values", builtin.SETS_AND_VALUES),
    ("the session itself", builtin.SESSION),
    ("names and comments of the catalogs", builtin.CATALOG_HELPERS),
    ("definitions and sizes by oid", builtin.GUARDED_BY_OID),
    ("privilege tests", builtin.PRIVILEGE_TESTS),
    ("names to oids", builtin.NAME_RESOLVERS),
    ("sequences", builtin.SEQUENCES),
    ("channels", builtin.CHANNELS),
    ("advisory locks", builtin.ADVISORY_LOCKS),
    ("of the whole database", builtin.OWN_DATABASE_ONLY),
)


def page() -> str:
    """The whole document."""
    return "\n".join((_HEAD, *_statements(), *_parts(), *_functions()))


def _statements() -> Iterator[str]:
    yield "## Statements\n"
    yield from _head("statement", "form", *_COLUMNS, "hint when refused")
    for node, forms in STATEMENTS.items():
        for form, sql in forms:
            verdicts = [judge(sql, strategy) for strategy in STRATEGIES]
            yield _row(f"`{node}`", form, *(_shown(v) for v in verdicts), _hint(verdicts))
    yield "\nNo statements of their own: " + _listed(f"`{node}` ({why})" for node, why in NEVER_ALONE.items()) + ".\n"


def _parts() -> Iterator[str]:
    for title, parts in (("Expressions and clauses", IN_QUERIES), ("Parts of DDL", IN_DDL)):
        yield f"## {title}\n"
        yield from _head("node", "sample", *_COLUMNS)
        yield from _part_rows(parts)
        yield ""


def _part_rows(parts: Mapping[str, str]) -> Iterator[str]:
    for node, sql in parts.items():
        yield _row(f"`{node}`", f"`{sql}`", *(_shown(judge(sql, strategy)) for strategy in STRATEGIES))


def _functions() -> Iterator[str]:
    yield "## Built-in functions\n"
    yield "By name; functions of other names are refused, and functions that users defined as the README says.\n"
    yield from _head("class", *_COLUMNS, "names")
    for title, names in _FUNCTIONS:
        yield _row(title, *(_function_outcome(names, strategy) for strategy in STRATEGIES), " ".join(sorted(names)))
    yield "\nWho may store code in a database of its own may call all built-in functions but those of these names:\n"
    yield f"`{builtin.BEYOND_THE_DATABASE}`\n"
    yield "Refused everywhere else, with these reasons (patterns of names, the first that matches):\n"
    yield from _head("names", "reason")
    for pattern, reason in builtin.REFUSAL_REASONS:
        yield _row(f"`{pattern}`", reason)


def _function_outcome(names: frozenset[str], strategy: Strategy) -> str:
    """What a call of each of these functions comes to, with a constant and with a column; several, when they differ."""
    found = {_of_call(name, strategy) for name in names}
    return " or ".join(sorted(found))


def _of_call(name: str, strategy: Strategy) -> str:
    constant, column = (
        judge(f"SELECT pg_catalog.{name}({argument})", strategy) for argument in ("'1'", "v.x) FROM (VALUES ('1')) v(x")
    )
    if constant.became is column.became:
        return constant.became.value
    return f"{constant.became.value} with constants only"


def _shown(verdict: Verdict) -> str:
    if verdict.became is Became.REFUSED and verdict.refusal is not None:
        return f"refused {verdict.refusal.sqlstate}"
    return verdict.became.value


def _hint(verdicts: list[Verdict]) -> str:
    hints = [v.refusal.hint or v.refusal.message for v in verdicts if v.refusal is not None]
    return " / ".join(dict.fromkeys(hints))


def _head(*titles: str) -> Iterator[str]:
    yield _row(*titles)
    yield "|" + "---|" * len(titles)


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _listed(items: Iterable[str]) -> str:
    return ", ".join(items)


if __name__ == "__main__":
    print(page(), end="")
