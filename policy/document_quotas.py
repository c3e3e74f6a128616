"""The words `quotas` and `flags`, wherever a body has them: tenants, tiers, flags."""

from __future__ import annotations

import re
from collections.abc import Collection
from types import MappingProxyType

from policy.model import QuotaLimits
from policy.problems import Problems, did_you_mean, join_key
from policy.settled import BUILTIN_FLAGS
from policy.yaml_values import as_count, as_flag, as_mapping, as_milliseconds, as_rate, optional

QUOTAS = ("connections", "concurrent_statements", "statements_per_s", "burst", "statement_timeout", "backends")
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
    )
    if "burst" in fields and "statements_per_s" not in fields:
        problems.add(f"{path}.burst", "means nothing without statements_per_s", "Give both or neither.")
    return limits


def read_switches(problems: Problems, path: str, value: object) -> MappingProxyType[str, bool]:
    """`{copy: off, reports: on}`; whether a flag of the policy's own is known is asked when it is put in force."""
    switches = {}
    for name, body in as_mapping(problems, path, value).items():
        if WORD.fullmatch(name) is None:
            problems.add(join_key(path, name), "not a name for a flag", "Lower case letters, digits and _.")
        switches[name] = as_flag(problems, join_key(path, name), body)
    return MappingProxyType(switches)


def check_switches(problems: Problems, path: str, names: Collection[str], known: Collection[str]) -> None:
    """Note switches of flags that nobody knows. known: those of the policy's own."""
    for name in names:
        if name not in known and name not in BUILTIN_FLAGS:
            problems.add(join_key(path, name), f"unknown flag {name!r}", did_you_mean(name, {*known, *BUILTIN_FLAGS}))
