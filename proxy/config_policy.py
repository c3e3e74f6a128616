"""Where policy comes from: `policy = "policy.yaml"`, or a section [policy] that names a document or a store."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from policy.errors import ConfigurationError
from proxy.config import PolicyConfig
from proxy.config_values import Table

_DOCUMENT = Path("policy.yaml")
_SCHEMES = ("postgresql", "postgres")


def read_policy(table: Table) -> tuple[Path, PolicyConfig]:
    """The document's path, which counts where the other names no store, and the rest."""
    if not isinstance(table.raw("policy"), dict):
        return _document(table, "policy"), PolicyConfig()
    section = table.table("policy")
    store = _store(section)
    if store is None:
        path = _document(section, "file")
    else:
        path = table.reading.base / _DOCUMENT
        if section.has("file"):
            section.problem("file", "is given together with a store", "Policy comes from one place: give one of both.")
    policy = PolicyConfig(store, _max_age(section, store))
    section.finish()
    return path, policy


def check_same_source(new: PolicyConfig, old: PolicyConfig) -> None:
    """A reload changes how a store is followed, not which one. Raises ConfigurationError."""
    if new.store != old.store:
        hint = "Stop and start the gateway, or with workers restart it (SIGUSR2)."
        raise ConfigurationError((("policy", "comes from another store than at the start, or from none", hint),))


def _document(table: Table, key: str) -> Path:
    return table.existing_file(key, _DOCUMENT) or table.reading.base / _DOCUMENT


def _store(section: Table) -> str | None:
    """A path, relative to the configuration file, or a URL, which may come from a file or the environment."""
    if not any(section.has(key) for key in ("store", "store_file", "store_env")):
        return None
    if isinstance(section.raw("store"), str) and not _has_password(str(section.raw("store"))):
        text: str | None = section.text("store")
    else:
        text = section.secret("store")
    if not text:
        return None
    scheme, colon, rest = text.partition("://")
    if not colon or scheme == "sqlite":
        path = (rest.removeprefix("/") if rest[:2] != "//" else rest[1:]) if colon else text
        return str(section.reading.base / Path(path).expanduser())
    if scheme not in _SCHEMES:
        section.problem("store", "is neither a path nor a URL of PostgreSQL", 'Write "store.db" or "postgresql://…".')
    return text


def _max_age(section: Table, store: str | None) -> float | None:
    if not section.has("max_age") and not section.has("max_age_s"):
        return None
    if store is None:
        section.problem("max_age", "goes with a store", "A policy document is as old as its last reload.")
    return section.duration("max_age_s", 60.0, least=2.0)


def _has_password(url: str) -> bool:
    try:
        return urlsplit(url).password is not None
    except ValueError:
        return True
