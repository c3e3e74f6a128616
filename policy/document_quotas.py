"""The words `quotas` and `flags`, wherever a body has them: tenants, tiers, flags."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType

from policy.model import NO_FLAGS, PeriodLimit, QuotaLimits
from policy.problems import Problems, did_you_mean, join_key
from policy.quota_periods import PERIODS
from policy.settled import BUILTIN_FLAGS
from policy.units import DURATION_HINT, SIZE_HINT, parse_duration_s, parse_size_bytes
from policy.yaml_values import (
    as_choice,
    as_count,
    as_flag,
    as_list,
    as_mapping,
    as_milliseconds,
    as_rate,
    describe,
    optional,
)

QUOTAS = (
    "connections", "concurrent_statements", "statements_per_s", "burst", "statement_timeout", "backends",
    "rows", "bytes", "backend_seconds", "result_rows", "result_bytes", "storage", "tables", "users", "soft",
)  # fmt: skip
SOFT = tuple(name for name in QUOTAS if name not in ("burst", "backends", "soft"))
"""Those that may warn and let go on. Who waits for a backend is refused by no quota."""

_MAX_AMOUNT = 10**15
WORD = re.compile(r"[a-z][a-z0-9_]{0,62}")


def read_quotas(problems: Problems, path: str, value: object) -> QuotaLimits:
    """The limits of a body; one that is left out is None."""
    fields = as_mapping(problems, path, value)
    problems.unknown_keys(path, fields, QUOTAS)
    limits = QuotaLimits(
        connections=optional(as_count, problems, path, fields, "connections"),
        concurrent_statements=optional(as_count, problems, path, fields, "concurrent_statements"),
        statements_per_s=optional(as_rate, problems, path, fields, "statements_per_s"),
        burst=optional(as_count, problems, path, fields, "burst"),
        statement_timeout_ms=optional(as_milliseconds, problems, path, fields, "statement_timeout"),
        backends=optional(as_count, problems, path, fields, "backends"),
        rows=optional(_as_amount_per_period, problems, path, fields, "rows"),
        bytes=optional(_as_size_per_period, problems, path, fields, "bytes"),
        backend_seconds=optional(_as_time_per_period, problems, path, fields, "backend_seconds"),
        result_rows=optional(as_count, problems, path, fields, "result_rows"),
        result_bytes=optional(_as_size, problems, path, fields, "result_bytes"),
        storage_bytes=optional(_as_size, problems, path, fields, "storage"),
        tables=optional(as_count, problems, path, fields, "tables"),
        users=optional(as_count, problems, path, fields, "users"),
        soft=optional(_as_soft, problems, path, fields, "soft"),
    )
    if "burst" in fields and "statements_per_s" not in fields:
        problems.add(f"{path}.burst", "means nothing without statements_per_s", "Give both or neither.")
    return limits


def _as_soft(problems: Problems, path: str, value: object) -> frozenset[str] | None:
    """The names of quotas that warn only."""
    names = [as_choice(problems, f"{path}[{at}]", name, SOFT) for at, name in enumerate(as_list(problems, path, value))]
    return frozenset(name for name in names if name is not None) or None


def _as_size(problems: Problems, path: str, value: object) -> int | None:
    """A number of bytes from 1 up."""
    try:
        size = parse_size_bytes(value)
    except ValueError as error:
        problems.add(path, str(error), SIZE_HINT)
        return None
    if 1 <= size <= _MAX_AMOUNT:
        return size
    problems.add(path, f"must be from 1 byte to {_MAX_AMOUNT}", SIZE_HINT)
    return None


def _as_seconds(problems: Problems, path: str, value: object) -> float | None:
    try:
        seconds = parse_duration_s(value)
    except ValueError as error:
        problems.add(path, str(error), DURATION_HINT)
        return None
    if 0.001 <= seconds <= 1e9:
        return round(seconds, 3)
    problems.add(path, "must be from 1 ms up to some thirty years", DURATION_HINT)
    return None


def _as_amount(problems: Problems, path: str, value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _MAX_AMOUNT:
        return value
    problems.add(path, f"must be a whole number from 1 up, not {describe(value)}", "Leave it out for no limit.")
    return None


def _as_amount_per_period(problems: Problems, path: str, value: object) -> PeriodLimit | None:
    return _per_period(problems, path, value, _as_amount)


def _as_size_per_period(problems: Problems, path: str, value: object) -> PeriodLimit | None:
    return _per_period(problems, path, value, _as_size)


def _as_time_per_period(problems: Problems, path: str, value: object) -> PeriodLimit | None:
    return _per_period(problems, path, value, _as_seconds)


def _per_period(
    problems: Problems, path: str, value: object, read: Callable[[Problems, str, object], float | None]
) -> PeriodLimit | None:
    """`{limit: 1000000, per: day}`."""
    if not isinstance(value, dict):
        problems.add(path, f"must be a limit per period, not {describe(value)}", _PERIOD_HINT)
        return None
    fields = as_mapping(problems, path, value)
    problems.unknown_keys(path, fields, ("limit", "per"))
    if missing := [key for key in ("limit", "per") if key not in fields]:
        problems.add(f"{path}.{missing[0]}", "is missing", _PERIOD_HINT)
        return None
    limit = read(problems, f"{path}.limit", fields["limit"])
    per = as_choice(problems, f"{path}.per", fields["per"], PERIODS)
    return None if limit is None or per is None else PeriodLimit(limit, per)


_PERIOD_HINT = f"Write it as {{limit: 1000, per: day}}; a period is {', '.join(PERIODS[:-1])} or {PERIODS[-1]}."


def read_switches(problems: Problems, path: str, value: object) -> Mapping[str, bool]:
    """`{copy: off, reports: on}`; whether a flag of the policy's own is known is asked when it is put in force."""
    switches = {}
    for name, body in as_mapping(problems, path, value).items():
        if WORD.fullmatch(name) is None:
            problems.add(join_key(path, name), "not a name for a flag", "Lower case letters, digits and _.")
        switches[name] = as_flag(problems, join_key(path, name), body)
    return MappingProxyType(switches) if switches else NO_FLAGS


def check_switches(problems: Problems, path: str, names: Collection[str], known: Collection[str]) -> None:
    """Note switches of flags that nobody knows. known: those of the policy's own."""
    for name in names:
        if name not in known and name not in BUILTIN_FLAGS:
            problems.add(join_key(path, name), f"unknown flag {name!r}", did_you_mean(name, {*known, *BUILTIN_FLAGS}))
