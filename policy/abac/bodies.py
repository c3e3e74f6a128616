"""The inverse of reading: a policy as the body that a policy file, the store and the API have for it."""

from __future__ import annotations

from typing import Any

from policy.abac.effects import DEFAULT_AMR
from policy.abac.masks import TIME_STEPS
from policy.abac.model import (
    ACTIVE,
    ALLOW,
    DENY,
    LIMIT,
    MASK,
    REQUIRE_APPROVAL,
    REQUIRE_MFA,
    ROW_FILTER,
    Effect,
    Mask,
    Policy,
)

Body = dict[str, Any]
ANY_REFERENCE = ".+"


def policy_body(policy: Policy) -> Body:
    """What was written, without what is so by default."""
    fields = {
        "description": policy.description,
        "state": "" if policy.state == ACTIVE else policy.state,
        "cedar": policy.cedar,
        "effect": effect_body(policy.effect),
        "time_zone": "" if policy.time_zone == "UTC" else policy.time_zone,
    }
    return {name: value for name, value in fields.items() if value}


def effect_body(effect: Effect) -> object:
    """The effect as a document writes it; None for what the Cedar text says by itself."""
    match effect.kind:
        case "row_filter":
            return {ROW_FILTER: effect.row_filter}
        case "mask":
            assert effect.mask is not None
            return {MASK: mask_body(effect.mask)}
        case "limit":
            limits = {"rows": effect.rows, "bytes": effect.bytes}
            return {LIMIT: {name: value for name, value in limits.items() if value is not None}}
        case "require_mfa":
            if effect.amr == DEFAULT_AMR and not effect.acr:
                return REQUIRE_MFA
            factors = {"amr": sorted(effect.amr), "acr": sorted(effect.acr)}
            return {REQUIRE_MFA: {name: words for name, words in factors.items() if words}}
        case "require_approval":
            return REQUIRE_APPROVAL if effect.pattern == ANY_REFERENCE else {REQUIRE_APPROVAL: effect.pattern}
    assert effect.kind in (ALLOW, DENY)
    return None


def mask_body(mask: Mask) -> object:
    """The mask as a document writes it."""
    if mask.kind in ("null", "hash", "token"):
        return mask.kind
    if mask.kind == "range":
        return {"range": mask.text if mask.text in TIME_STEPS else _number(mask.text)}
    if mask.kind in ("sql", "constant"):
        return {mask.kind: mask.text}
    fields: Body = {name: shown for name, shown in (("first", mask.first), ("last", mask.last)) if shown}
    return {mask.kind: fields | ({"fill": mask.fill} if mask.fill != "*" else {})}


def _number(text: str) -> int | float:
    return int(text) if text.isdigit() else float(text)
