"""A tenant as its body has it, and as it is in force: its tier's quotas and flags under its own, switches applied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace

from policy.model import Flag, QuotaLimits, Tenant, Tier

BUILTIN_FLAGS: Mapping[str, str] = {
    "copy": "COPY",
    "ddl": "DDL in a schema or database of its own",
    "code": "stored code",
    "lanes": "shared backends for fast reads",
    "write": "every change of data",
}

_NO_TIER = Tier("")
_NO_QUOTAS = QuotaLimits()
_RATE = ("statements_per_s", "burst")
_LIMITS = tuple(field.name for field in fields(QuotaLimits) if field.name not in _RATE)


def settled(tenant: Tenant, tiers: Mapping[str, Tier], flags: Mapping[str, Flag]) -> Tenant:
    """The tenant as it is in force. A settled one may be given again: it is settled anew."""
    written = tenant.written or tenant
    tier = tiers.get(written.tier, _NO_TIER)
    off = flags_off(written, tier, flags)
    quotas = _over(written.quotas, tier.quotas)
    for name in sorted(off & flags.keys()):
        quotas = _lower(quotas, flags[name].quotas)
    lanes = written.lanes and "lanes" not in off
    if (off, quotas, lanes, tier.trial_grace_s) == (frozenset(), written.quotas, written.lanes, written.trial_grace_s):
        return written
    return replace(written, off=off, quotas=quotas, lanes=lanes, trial_grace_s=tier.trial_grace_s, written=written)


def flags_off(tenant: Tenant, tier: Tier, flags: Mapping[str, Flag]) -> frozenset[str]:
    """The flags that are off for a tenant: as it says itself, else its tier, else the flag's default."""
    if not tenant.flags and not tier.flags and not flags:
        return frozenset()
    names = {*tenant.flags, *tier.flags, *flags}
    return frozenset(name for name in names if not _is_on(name, tenant, tier, flags))


def _is_on(name: str, tenant: Tenant, tier: Tier, flags: Mapping[str, Flag]) -> bool:
    default = flags[name].default if name in flags else True
    return tenant.flags.get(name, tier.flags.get(name, default))


def _over(own: QuotaLimits, tiers: QuotaLimits) -> QuotaLimits:
    """Each limit that the tenant has itself, else its tier's; rate and burst go together."""
    if tiers == _NO_QUOTAS:
        return own
    names = _LIMITS if own.statements_per_s is not None else (*_LIMITS, *_RATE)
    return replace(own, **{name: getattr(tiers, name) for name in names if getattr(own, name) is None})


def _lower(one: QuotaLimits, other: QuotaLimits) -> QuotaLimits:
    """The lower of each limit; None is none. Which are soft stays as it is: a flag that is off loosens nothing."""
    if other == _NO_QUOTAS:
        return one
    lower = {
        name: value
        for name in _LIMITS
        if name != "soft"
        and (value := getattr(other, name)) is not None
        and (getattr(one, name) is None or value < getattr(one, name))
    }
    rate = other.statements_per_s
    if rate is not None and (one.statements_per_s is None or rate < one.statements_per_s):
        lower |= {"statements_per_s": rate, "burst": other.burst}
    return replace(one, **lower)
