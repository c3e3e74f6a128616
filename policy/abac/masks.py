"""The library of masks: SQL expressions that show less than a column holds and keep its type where they can.

In the policy's answer a mask is a text (`written`), made into SQL when the column's type is known (`mask_sql`). Only
built-in functions of PostgreSQL 13 to 18 are used. A mask that cannot be made for a type refuses the statement.

`hash` and `token` are keyed. The key is the setting KEY_SETTING of the gateway's connections, so it stands in no
statement, no log and no view of the server's; a client cannot read it, since current_setting() takes reviewed names
only. The tenant is hashed with it: equal values of two tenants do not look equal.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Final

from policy.abac.model import Mask
from policy.errors import UnsupportedStatement
from policy.sql.catalog import Column
from policy.sql.plan import quote_identifier, quote_literal
from policy.sql.type_names import cast_name

KEY_SETTING: Final = "tenantgate.mask_key"
KINDS: Final = ("null", "constant", "hash", "partial", "email", "range", "token", "sql")
KEYED: Final = frozenset({"hash", "token"})
TIME_STEPS: Final = ("minute", "hour", "day", "week", "month", "quarter", "year")

_MARK: Final = "\x02"  # no expression of a document holds it: it is no SQL
_TEXTS: Final = frozenset({"text", "character varying", "character", "citext"})
_INTEGERS: Final = {"smallint": 3, "integer": 7, "bigint": 15}  # hexadecimal digits that surely fit
_LEAST: Final = {"smallint": -(2**15), "integer": -(2**31), "bigint": -(2**63)}
_NUMBERS: Final = frozenset({*_INTEGERS, "numeric", "real", "double precision"})
_TIMES: Final = frozenset({"date", "timestamp without time zone", "timestamp with time zone"})
_LENGTH: Final = re.compile(r"\((\d+)\)$")


@lru_cache(maxsize=4096)
def written(mask: Mask, under: str = "") -> str:
    """The mask as a text. under: the mask (SQL of a role) that it is laid over; "": the column itself."""
    return _MARK + json.dumps([mask.kind, mask.text, mask.first, mask.last, mask.fill, under])


def is_written(text: str) -> bool:
    """Whether a mask's text is one of `written`: a policy's."""
    return text.startswith(_MARK)


def is_own_text(text: str) -> bool:
    """Whether its SQL is the library's alone, and no author's."""
    return is_written(text) and json.loads(text[1:])[0] != "sql"


def laid_over(text: str | None, under: str) -> str:
    """The mask of a policy (None: there is none) laid over the SQL of a role's."""
    if text is None or not is_written(text):
        return under
    kind, argument, first, last, fill, _ = json.loads(text[1:])
    return written(Mask(kind, argument, first, last, fill), under)


def mask_sql(text: str, column: Column) -> str:
    """The SQL of a policy's mask over a column. Raises UnsupportedStatement for types that it is not made for."""
    kind, argument, first, last, fill, under = json.loads(text[1:])
    mask = Mask(kind, argument, first, last, fill)
    value = f"({under}\n)" if under else quote_identifier(column.name)
    sql = _sql(mask, value, column)
    if sql is None:
        raise UnsupportedStatement(
            f"the mask {mask.kind} of column {column.name} is not made for type {column.type_name}",
            sqlstate="42501",
            hint="Ask your administrator to choose another mask: null and constant are for every type.",
        )
    return sql


@lru_cache(maxsize=4096)
def describe(text: str) -> str:
    """A mask in a word, for `explain`."""
    return str(json.loads(text[1:])[0])


def _sql(mask: Mask, value: str, column: Column) -> str | None:
    as_type = f"::{column.declared_type or cast_name(column)}"
    match mask.kind:
        case "null":
            return f"NULL{as_type}"
        case "sql":  # what is under it may be more or less than it shows
            return mask.text if value in (quote_identifier(column.name), f"({mask.text}\n)") else f"NULL{as_type}"
        case "constant":
            return f"{quote_literal(mask.text)}{as_type}"
        case "hash":
            return _hash(value, column)
        case "range":
            return _range(mask, value, column)
    if column.type_name not in _TEXTS:
        return None
    text = f"({value})::pg_catalog.text"
    made = {"partial": _partial, "email": _email, "token": _token}[mask.kind](mask, text)
    return f"({made}){as_type}"


def _partial(mask: Mask, text: str) -> str:
    """The ends of a text that is longer than both together; of a shorter one nothing."""
    shown = mask.first + mask.last
    fill = quote_literal(mask.fill)
    length = f"pg_catalog.length({text})"
    middle = f"pg_catalog.repeat({fill}, {length} - {shown})"
    ends = f'pg_catalog."left"({text}, {mask.first}) || {middle} || pg_catalog."right"({text}, {mask.last})'
    return f"CASE WHEN {length} > {shown} THEN {ends} ELSE pg_catalog.repeat({fill}, {length}) END"


def _email(mask: Mask, text: str) -> str:
    """The first letter and the domain; of what is no address nothing."""
    stars = quote_literal(mask.fill * 3)
    at = f"pg_catalog.strpos({text}, '@')"
    shown = f'pg_catalog."left"({text}, 1) || {stars} || pg_catalog.substr({text}, {at})'
    return f"CASE WHEN {text} IS NULL THEN NULL WHEN {at} > 1 THEN {shown} ELSE {stars} END"


def _digest(text: str) -> str:
    """bytea: SHA-256 of key, tenant and value, with their lengths, so that no two triples are one."""
    key = f"pg_catalog.current_setting('{KEY_SETTING}')"
    tenant = "(:tenant)::pg_catalog.text"
    whole = f"{key} || ':' || pg_catalog.length({tenant}) || ':' || {tenant} || ':' || {text}"
    return f"pg_catalog.sha256(pg_catalog.convert_to({whole}, 'UTF8'))"


def _hash(value: str, column: Column) -> str | None:
    digest = _digest(f"({value})::pg_catalog.text")
    digits = f"pg_catalog.encode({digest}, 'hex')"
    name = column.type_name
    if name in _INTEGERS:
        count = _INTEGERS[name]
        return (
            f"('x' || pg_catalog.substr({digits}, 1, {count}))::pg_catalog.bit({4 * count})::bigint::{name}"
            if (name == "bigint")
            else f"('x' || pg_catalog.substr({digits}, 1, {count}))::pg_catalog.bit({4 * count})::integer::{name}"
        )
    if name == "uuid":
        return f"pg_catalog.substr({digits}, 1, 32)::pg_catalog.uuid"
    if name == "bytea":
        return digest
    if name not in _TEXTS:
        return None
    length = _LENGTH.search(column.declared_type)
    cut = int(length[1]) if length else 64
    return f'(pg_catalog."left"({digits}, {min(cut, 64)}))::{column.declared_type or cast_name(column)}'


def _range(mask: Mask, value: str, column: Column) -> str | None:
    """The lower end of the step that the value is in."""
    name = column.type_name
    if mask.text in TIME_STEPS:
        if name not in _TIMES:
            return None
        return f"pg_catalog.date_trunc('{mask.text}', {value})::{column.declared_type or cast_name(column)}"
    if name not in _NUMBERS:
        return None
    step = f"({mask.text})::pg_catalog.numeric"
    lower = f"pg_catalog.floor(({value})::pg_catalog.numeric / {step}) * {step}"
    if name in _LEAST:  # an error would tell of a value at the very end
        lower = f"CASE WHEN ({value}) IS NULL THEN NULL ELSE GREATEST({lower}, {_LEAST[name]}) END"
    return f"({lower})::{column.declared_type or cast_name(column)}"


def _token(_mask: Mask, text: str) -> str:
    """A digit for each digit, a letter for each letter, its case kept; all else as it is. Character by character from
    the digest, with 32 characters to each."""
    source = f"(SELECT {text} AS v, {_digest(text)} AS h OFFSET 0) AS tg_value"
    place = "tg_place.i - 1"
    block = f"pg_catalog.sha256(tg_value.h || pg_catalog.convert_to((({place}) / 32)::pg_catalog.text, 'UTF8'))"
    byte = f"pg_catalog.get_byte({block}, ({place}) % 32)"
    own = "pg_catalog.substr(tg_value.v, tg_place.i, 1)"
    shown = (
        f"CASE WHEN {own} ~ '^[0-9]$' THEN pg_catalog.chr(48 + {byte} % 10)"
        f" WHEN {own} ~ '^[A-Z]$' THEN pg_catalog.chr(65 + {byte} % 26)"
        f" WHEN {own} ~ '^[[:alpha:]]$' THEN pg_catalog.chr(97 + {byte} % 26) ELSE {own} END"
    )
    places = "pg_catalog.generate_series(1, pg_catalog.length(tg_value.v)) AS tg_place(i)"
    joined = f"pg_catalog.string_agg({shown}, '' ORDER BY tg_place.i)"
    return f"COALESCE((SELECT {joined} FROM {source}, {places}), {text})"  # noqa: S608
