"""Where policy comes from: a document or a store, and never both."""

from __future__ import annotations

from pathlib import Path

import pytest

from policy.errors import ConfigurationError
from proxy.config import PolicyConfig
from proxy.config_file import ConfigReading, read_config
from proxy.config_policy import check_same_source

REST = """
[tls]
mode = "off"

[[auth.issuers]]
issuer = "i"
audience = "a"
hs256_secret = "00000000000000000000000000000000"

[targets.main]
host = "localhost"
database = "shop"
user = "gateway"
"""


def read(tmp_path: Path, policy: str, **environ: str) -> ConfigReading:
    (tmp_path / "tenantgate.toml").write_text(policy + REST)
    return read_config(tmp_path / "tenantgate.toml", environ)


@pytest.mark.parametrize(
    ("store", "expected"),
    [
        ("store.db", "{base}/store.db"),
        ("/var/lib/store.db", "/var/lib/store.db"),
        ("sqlite:///store.db", "{base}/store.db"),
        ("sqlite:////var/lib/store.db", "/var/lib/store.db"),
        ("postgresql://gateway@db/policy", "postgresql://gateway@db/policy"),
    ],
)
def test_ways_to_name_a_store(tmp_path: Path, store: str, expected: str) -> None:
    reading = read(tmp_path, f'[policy]\nstore = "{store}"\nmax_age = "5s"\n')
    assert reading.config is not None
    assert reading.config.policy == PolicyConfig(expected.format(base=tmp_path), 5.0)
    assert reading.policy_file is None


def test_a_password_in_the_file_is_a_warning_and_is_never_shown(tmp_path: Path) -> None:
    reading = read(tmp_path, '[policy]\nstore = "postgresql://gateway:hidden@db/policy"\n')
    assert [key for key, _, _ in reading.warnings if key.startswith("policy")] == ["policy.store"]
    assert "hidden" not in repr(reading.config)
    assert "hidden" not in str(reading.warnings)


def test_a_store_from_the_environment(tmp_path: Path) -> None:
    reading = read(tmp_path, '[policy]\nstore_env = "STORE"\n', STORE="postgresql://a:b@c/d")
    assert reading.config is not None
    assert reading.config.policy.store == "postgresql://a:b@c/d"
    assert not [key for key, _, _ in reading.warnings if key.startswith("policy")]


def test_a_document_by_either_name(tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text("tenants: {}\n")
    for text in ('policy = "other.yaml"\n', '[policy]\nfile = "other.yaml"\n'):
        reading = read(tmp_path, text)
        assert reading.config is not None
        assert (reading.policy_file, reading.config.policy) == (tmp_path / "other.yaml", PolicyConfig())


@pytest.mark.parametrize(
    ("policy", "key"),
    [
        ('[policy]\nstore = "s.db"\nfile = "policy.yaml"\n', "policy.file"),
        ('[policy]\nstore = "mysql://db/policy"\n', "policy.store"),
        ('[policy]\nfile = "nowhere.yaml"\n', "policy.file"),
        ('[policy]\nstore = "s.db"\nmax_age = "1s"\n', "policy.max_age"),
        ('[policy]\nstore = "s.db"\nmax_ages = "9s"\n', "policy.max_ages"),
        ('[policy]\nmax_age = "9s"\n', "policy.max_age"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, policy: str, key: str) -> None:
    reading = read(tmp_path, policy)
    assert reading.config is None
    assert key in [place for place, _, _ in reading.problems]


def test_a_reload_cannot_change_the_source() -> None:
    check_same_source(PolicyConfig("a.db", 5.0), PolicyConfig("a.db"))
    for other in (PolicyConfig("b.db"), PolicyConfig()):
        with pytest.raises(ConfigurationError, match="another store"):
            check_same_source(other, PolicyConfig("a.db"))
