"""The sections `tiers` and `flags` of the policy document."""

from __future__ import annotations

from policy.document_quotas import WORD, read_quotas, read_switches
from policy.document_roles import read_permissions
from policy.model import TRIAL_GRACE_S, Flag, Tier
from policy.problems import Problems, join_key
from policy.settled import BUILTIN_FLAGS
from policy.units import DURATION_HINT, parse_duration_s
from policy.yaml_values import as_flag, as_mapping, as_text

TIER_FIELDS = ("quotas", "flags", "trial_grace")
FLAG_FIELDS = ("deny", "quotas", "default")
_LONGEST_GRACE_S = 3650 * 86_400.0


def read_tiers(problems: Problems, value: object) -> dict[str, Tier]:
    """Every tier, by name."""
    bodies = as_mapping(problems, "tiers", value)
    return {name: read_tier_body(problems, join_key("tiers", name), name, body) for name, body in bodies.items()}


def read_tier_body(problems: Problems, path: str, name: str, body: object) -> Tier:
    """One tier. Problems are noted below `path`."""
    fields = as_mapping(problems, path, body)
    problems.unknown_keys(path, fields, TIER_FIELDS)
    as_text(problems, path, name)
    return Tier(
        name,
        read_quotas(problems, f"{path}.quotas", fields.get("quotas")),
        read_switches(problems, f"{path}.flags", fields.get("flags")),
        _grace(problems, f"{path}.trial_grace", fields["trial_grace"]) if "trial_grace" in fields else TRIAL_GRACE_S,
    )


def read_flags(problems: Problems, value: object) -> dict[str, Flag]:
    """Every flag of the policy's own, by name."""
    bodies = as_mapping(problems, "flags", value)
    return {name: read_flag_body(problems, join_key("flags", name), name, body) for name, body in bodies.items()}


def read_flag_body(problems: Problems, path: str, name: str, body: object) -> Flag:
    """One flag. Problems are noted below `path`."""
    fields = as_mapping(problems, path, body)
    problems.unknown_keys(path, fields, FLAG_FIELDS)
    if WORD.fullmatch(name) is None:
        problems.add(path, "not a name for a flag", "Lower case letters, digits and _, at most 63.")
    if name in BUILTIN_FLAGS:
        problems.add(path, f"{name} is built in", "Choose another name; tiers and tenants may switch it as it is.")
    return Flag(
        name,
        read_permissions(problems, f"{path}.deny", fields.get("deny"), denied=True),
        read_quotas(problems, f"{path}.quotas", fields.get("quotas")),
        as_flag(problems, f"{path}.default", fields.get("default", "on")),
    )


def _grace(problems: Problems, path: str, value: object) -> float:
    try:
        seconds = parse_duration_s(value)
    except ValueError as error:
        problems.add(path, str(error), DURATION_HINT)
        return 0.0
    if seconds > _LONGEST_GRACE_S:
        problems.add(path, "longer than ten years", DURATION_HINT)
    return seconds
