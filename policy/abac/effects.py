"""Effects as a policy document writes them: one key, or a word for those without a value.

effect: deny
effect: {mask: {partial: {last: 4}}}
effect: {limit: {rows: 1000}}
"""

from __future__ import annotations

import re
from decimal import Decimal

from policy.abac.masks import KINDS, TIME_STEPS
from policy.abac.model import (
    ALLOW,
    DENY,
    EFFECTS,
    LIMIT,
    MASK,
    REQUIRE_APPROVAL,
    REQUIRE_MFA,
    ROW_FILTER,
    Effect,
    Mask,
)
from policy.expressions import VALUES_HINT, check_expression
from policy.problems import Problems, did_you_mean, join_key
from policy.units import SIZE_HINT, parse_size_bytes
from policy.yaml_values import as_count, as_list, as_mapping, as_text, describe

DEFAULT_AMR = frozenset({"mfa"})
_BARE = (ALLOW, DENY, REQUIRE_MFA, REQUIRE_APPROVAL)
_MAX_SHOWN = 64


def read_effect(problems: Problems, path: str, value: object, *, forbids: bool) -> Effect | None:
    """The effect at `path`; left out it is what the Cedar text says by itself."""
    if value is None:
        return Effect(DENY if forbids else ALLOW)
    kind, argument = _kind_and_argument(problems, path, value)
    if kind is None:
        return None
    if forbids != (kind == DENY):
        says = "forbid" if forbids else "permit"
        hint = "forbid goes with deny, permit with every other effect: it says where the effect applies."
        problems.add(path, f"{kind} contradicts the policy's {says}", hint)
        return None
    return _read(problems, f"{path}.{kind}" if isinstance(value, dict) else path, kind, argument)


def _kind_and_argument(problems: Problems, path: str, value: object) -> tuple[str | None, object]:
    kind: object = value
    argument: object = None
    if isinstance(value, dict):
        if len(value) != 1:
            problems.add(path, f"must be one effect, not {len(value)}", "Write a policy for each.")
            return None, None
        ((kind, argument),) = value.items()
    if not isinstance(kind, str) or kind not in EFFECTS:
        problems.add(path, f"unknown effect {str(kind)[:40]!r}", did_you_mean(str(kind), EFFECTS))
        return None, None
    if argument is None and kind not in _BARE:
        problems.add(path, f"{kind} needs a value", "See docs/abac.md for the effects.")
        return None, None
    return kind, argument


def _read(problems: Problems, path: str, kind: str, argument: object) -> Effect | None:
    match kind:
        case "row_filter":
            text = _expression(problems, path, argument)
            return None if text is None else Effect(ROW_FILTER, row_filter=text)
        case "mask":
            mask = _read_mask(problems, path, argument)
            return None if mask is None else Effect(MASK, mask=mask)
        case "limit":
            return _read_limit(problems, path, argument)
        case "require_mfa":
            return _read_mfa(problems, path, argument)
        case "require_approval":
            return _read_approval(problems, path, argument)
    if argument is not None and argument is not True:
        problems.add(path, f"{kind} has no value", f"Write effect: {kind}.")
    return Effect(kind)


def _expression(problems: Problems, path: str, value: object) -> str | None:
    text = as_text(problems, path, value, f"An SQL expression over the table's own columns. {VALUES_HINT}")
    if text is None:
        return None
    try:
        check_expression(text)
    except ValueError as error:
        problems.add(path, str(error), f"An SQL expression over the table's own columns. {VALUES_HINT}")
        return None
    return text.strip()


def _read_limit(problems: Problems, path: str, value: object) -> Effect | None:
    fields = as_mapping(problems, path, value)
    problems.unknown_keys(path, fields, ("rows", "bytes"))
    if not fields:
        problems.add(path, "limits nothing", "Write {rows: 1000}, {bytes: 10MB} or both.")
    rows = as_count(problems, f"{path}.rows", fields["rows"]) if "rows" in fields else None
    size = None
    if "bytes" in fields:
        try:
            size = parse_size_bytes(fields["bytes"])
        except ValueError as error:
            problems.add(f"{path}.bytes", str(error), SIZE_HINT)
    return Effect(LIMIT, rows=rows, bytes=size)


def _read_mfa(problems: Problems, path: str, value: object) -> Effect:
    if value is None or value is True:
        return Effect(REQUIRE_MFA, amr=DEFAULT_AMR)
    fields = as_mapping(problems, path, value)
    problems.unknown_keys(path, fields, ("amr", "acr"))
    amr, acr = (_words(problems, f"{path}.{key}", fields.get(key)) for key in ("amr", "acr"))
    if not amr and not acr:
        problems.add(path, "names no second factor", "Write {amr: [mfa]} or {acr: [urn:example:loa:3]}.")
    return Effect(REQUIRE_MFA, amr=amr, acr=acr)


def _words(problems: Problems, path: str, value: object) -> frozenset[str]:
    found = (as_text(problems, f"{path}[{i}]", item) for i, item in enumerate(as_list(problems, path, value)))
    return frozenset(word for word in found if word is not None)


def _read_approval(problems: Problems, path: str, value: object) -> Effect | None:
    if value is None or value is True:
        return Effect(REQUIRE_APPROVAL, pattern=".+")
    text = as_text(problems, path, value, "A regular expression for the reference, such as 'CHG-[0-9]+'.")
    if text is None:
        return None
    try:
        re.compile(text)
    except re.error as error:
        problems.add(path, f"is no regular expression: {error}", "Such as 'CHG-[0-9]+'.")
        return None
    return Effect(REQUIRE_APPROVAL, pattern=text)


# -- masks ------------------------------------------------------------------------------------------------------------


def _read_mask(problems: Problems, path: str, value: object) -> Mask | None:
    kind: object = value
    argument: object = None
    if isinstance(value, dict) and len(value) == 1:
        ((kind, argument),) = value.items()
    if kind is None or kind == "null":
        return Mask("null")
    if not isinstance(kind, str) or kind not in KINDS:
        problems.add(path, f"unknown mask {describe(kind) if isinstance(kind, dict) else repr(kind)}", _mask_hint(kind))
        return None
    if kind in ("hash", "token"):
        return Mask(kind)
    here = join_key(path, kind)
    if kind == "sql":
        text = _expression(problems, here, argument)
        return None if text is None else Mask(kind, text=text)
    if kind == "constant":
        return _read_constant(problems, here, argument)
    if kind == "range":
        return _read_range(problems, here, argument)
    return _read_partial(problems, here, kind, argument)


def _mask_hint(kind: object) -> str:
    return did_you_mean(str(kind), KINDS) if isinstance(kind, str) else "Write one of: " + ", ".join(KINDS) + "."


def _read_constant(problems: Problems, path: str, value: object) -> Mask | None:
    if isinstance(value, bool):
        return Mask("constant", text=str(value).lower())
    if isinstance(value, str | int | float) and "\0" not in str(value):
        return Mask("constant", text=str(value))
    problems.add(path, f"must be a text or a number, not {describe(value)}", "Write {constant: '***'}.")
    return None


def _read_range(problems: Problems, path: str, value: object) -> Mask | None:
    if isinstance(value, str) and value in TIME_STEPS:
        return Mask("range", text=value)
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 10**15:
        return Mask("range", text=format(Decimal(str(value)), "f"))
    hint = f"Write the step of numbers, such as 10, or of times: {', '.join(TIME_STEPS)}."
    problems.add(path, f"must be a step, not {describe(value)}", hint)
    return None


def _read_partial(problems: Problems, path: str, kind: str, value: object) -> Mask | None:
    fields = as_mapping(problems, path, value)
    known = ("first", "last", "fill") if kind == "partial" else ("fill",)
    problems.unknown_keys(path, fields, known)
    fill = fields.get("fill", "*")
    if not isinstance(fill, str) or len(fill) != 1 or "\0" in fill:
        problems.add(f"{path}.fill", "must be one character", 'Such as "*".')
        fill = "*"
    first, last = (_shown(problems, f"{path}.{key}", fields.get(key, 0)) for key in ("first", "last"))
    return Mask(kind, first=first, last=last, fill=fill)


def _shown(problems: Problems, path: str, value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_SHOWN:
        return value
    problems.add(path, f"must be a number of characters from 0 to {_MAX_SHOWN}", "Such as 4.")
    return 0
