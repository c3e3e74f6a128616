"""The version of this gateway, as audit headers, `SHOW VERSION` and `tenantgate_build_info` tell it."""

from __future__ import annotations

from functools import cache
from importlib import metadata


@cache
def product_version() -> str:
    """Version of the installed distribution; `0+source` when run from a tree that is not installed."""
    try:
        return metadata.version("tenantgate")
    except metadata.PackageNotFoundError:
        return "0+source"
