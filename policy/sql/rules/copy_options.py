"""The options of COPY: which are accepted, and what a stream into a tenant table looks like under them."""

from __future__ import annotations

from typing import Any

from policy.errors import InvalidStatement, UnsupportedStatement
from policy.sql import parse
from policy.sql.catalog import Column
from policy.sql.parse import Node
from policy.sql.plan import CopyStamp

ast: Any = parse.ast

_FORMATS = frozenset({"text", "csv", "binary"})
_BOTH = frozenset({"format", "delimiter", "null", "header", "quote", "escape", "encoding"})
_OUT_ONLY = frozenset({"force_quote"})
_TRUE = frozenset({"true", "on", "1"})
_FALSE = frozenset({"false", "off", "0"})
_UTF8 = frozenset({"utf8", "unicode"})
_HINT = "Accepted: FORMAT text, csv or binary, DELIMITER, NULL, HEADER, QUOTE, ESCAPE, ENCODING 'UTF8'."


def review_options(node: Node, position: int) -> None:
    """Refuse options, and clauses, that are not on the list. Raises a StatementRefused."""
    if node.whereClause is not None:
        raise UnsupportedStatement(
            "COPY … FROM with WHERE is not supported",
            hint="Copy into your table first, then DELETE what you do not want.",
            position=position,
        )
    allowed = _BOTH if node.is_from else _BOTH | _OUT_ONLY
    seen: set[str] = set()
    for option in node.options or ():
        at = max(option.location or 0, position - 1) + 1
        name = option.defname.lower()
        if name in seen:
            raise InvalidStatement("conflicting or redundant options", position=at)
        seen.add(name)
        if name not in allowed:
            raise UnsupportedStatement(f"COPY option {name} is not supported", hint=_HINT, position=at)
        _review_value(name, _text(option), at)


def _review_value(name: str, value: str | None, at: int) -> None:
    if name == "format" and value not in _FORMATS:
        raise UnsupportedStatement(f'COPY format "{value}" is not supported', hint=_HINT, position=at)
    if name == "encoding" and (value or "").lower().replace("-", "").replace("_", "") not in _UTF8:
        raise UnsupportedStatement("COPY is supported in UTF8 only", hint=_HINT, position=at)
    if name == "header" and value is not None and value.lower() not in _TRUE | _FALSE:
        raise UnsupportedStatement(
            f"HEADER {value} is not supported", hint="Use HEADER true, and name the columns in COPY.", position=at
        )


def copy_stamp(node: Node, names: list[str], tenant: Column) -> CopyStamp:
    """How the rows of a COPY FROM STDIN with the client's columns `names` are stamped."""
    options = {option.defname.lower(): _text(option) for option in node.options or ()}
    form = options.get("format") or "text"
    csv = form == "csv"
    quote = options.get("quote") or '"'
    header = "header" in options and (options["header"] or "true").lower() in _TRUE
    return CopyStamp(
        format=form,
        column_count=len(names),
        tenant_index=names.index(tenant.name) if tenant.name in names else None,
        tenant_type=tenant.type_name,
        delimiter=_given(options, "delimiter", "," if csv else "\t"),
        null=_given(options, "null", "" if csv else "\\N"),
        quote=quote,
        escape=_given(options, "escape", quote),
        header=header,
    )


def _given(options: dict[str, str | None], name: str, default: str) -> str:
    value = options.get(name)
    return default if value is None else value


def _text(option: Node) -> str | None:
    """An option's value as PostgreSQL reads it (defGetString); None without a value."""
    value = option.arg
    if value is None or isinstance(value, (tuple, ast.A_Star)):
        return None
    if isinstance(value, ast.String):
        return str(value.sval)
    if isinstance(value, ast.Boolean):
        return "true" if value.boolval else "false"
    if isinstance(value, ast.Integer):
        return str(value.ival or 0)
    return str(getattr(value, "fval", ""))
