"""The [quotas] section: how quotas are kept, not what they are; that is in the policy."""

from __future__ import annotations

import importlib.util
import re

from proxy.config import QuotasConfig, RedisConfig
from proxy.config_values import Table

WHEN_AWAY = ("local", "deny", "allow")
_URL = re.compile(r"(rediss?|unix)://\S+")
_PREFIX = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


def read_quotas(table: Table) -> QuotasConfig:
    default = QuotasConfig()
    quotas = QuotasConfig(
        storage_interval_s=table.duration("storage_interval_s", default.storage_interval_s, least=0.1),
        state_file=table.file_path("state_file"),
        redis=_read_redis(table.table("redis")) if table.has("redis") else None,
    )
    table.finish()
    return quotas


def _read_redis(table: Table) -> RedisConfig:
    url = table.secret("url")
    default = RedisConfig("")
    redis = RedisConfig(
        url=url or "",
        when_away=table.choice("when_away", default.when_away, WHEN_AWAY),
        lease_s=table.duration("lease_s", default.lease_s, least=0.5, most=300),
        prefix=table.text("prefix", default.prefix),
    )
    if url is None:
        table.problem("url", "is missing", 'Set url = "redis://host:6379/0", or url_file.')
    elif _URL.fullmatch(url) is None:
        table.problem("url", "is not an address of Redis", 'Write "redis://host:6379/0", rediss:// or unix://.')
    elif importlib.util.find_spec("redis") is None:
        table.problem("url", "needs the package redis", 'Install it: pip install "tenantgate[redis]"')
    if _PREFIX.fullmatch(redis.prefix) is None:
        table.problem("prefix", "is not a prefix of keys", "Letters, digits and _ . : -")
    table.finish()
    return redis
