"""The section `policies`: attribute-based policies, each a Cedar text with a state and an effect (docs/abac.md)."""

from __future__ import annotations

import re
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from policy.abac.cedar import CedarError, CedarPolicy, parse_cedar
from policy.abac.effects import read_effect
from policy.abac.model import ACTIVE, STATES, Effect, Policy
from policy.problems import Problems
from policy.yaml_values import as_choice, as_mapping, as_text, optional

POLICY_KEYS = ("state", "cedar", "effect", "time_zone", "description")
_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}")
_CEDAR_HINT = "Cedar, one policy: permit (principal, action, resource) when { … };"


def read_policy_body(problems: Problems, path: str, name: str, body: object) -> Policy | None:
    """One policy; None when it has a problem. Problems are noted below `path`."""
    before = len(problems.found)
    if _ID.fullmatch(name) is None:
        problems.add(path, "not an id for a policy", "Letters, digits and _ . - , at most 63.")
    fields = as_mapping(problems, path, body)
    problems.unknown_keys(path, fields, POLICY_KEYS)
    state = as_choice(problems, f"{path}.state", fields.get("state", ACTIVE), STATES)
    zone = _time_zone(problems, f"{path}.time_zone", fields.get("time_zone", "UTC"))
    description = optional(as_text, problems, path, fields, "description")
    text = as_text(problems, f"{path}.cedar", fields.get("cedar"), _CEDAR_HINT)
    cedar = None if text is None else _cedar(problems, f"{path}.cedar", text)
    effect: Effect | None = None
    if cedar is not None:
        effect = read_effect(problems, f"{path}.effect", fields.get("effect"), forbids=cedar.forbids)
    if len(problems.found) > before or text is None or state is None or effect is None:
        return None
    return Policy(name, state, text.strip(), effect, zone, description or "")


def _cedar(problems: Problems, path: str, text: str) -> CedarPolicy | None:
    try:
        return parse_cedar(text)
    except CedarError as error:
        place = f"line {error.line}, column {error.column}: " if error.line else ""
        problems.add(path, f"{place}{error}", "See docs/abac.md for what policies may speak of.")
        return None


def _time_zone(problems: Problems, path: str, value: object) -> str:
    text = as_text(problems, path, value, "Such as Europe/Berlin.")
    try:
        ZoneInfo(text or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        problems.add(path, f"unknown time zone {text!r}", "Such as Europe/Berlin, or leave it out for UTC.")
        return "UTC"
    return text or "UTC"
