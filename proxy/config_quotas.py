"""The [quotas] section: how quotas are kept, not what they are; that is in the policy."""

from __future__ import annotations

from proxy.config import QuotasConfig
from proxy.config_values import Table


def read_quotas(table: Table) -> QuotasConfig:
    default = QuotasConfig()
    quotas = QuotasConfig(
        storage_interval_s=table.duration("storage_interval_s", default.storage_interval_s, least=0.1),
        state_file=table.file_path("state_file"),
    )
    table.finish()
    return quotas
