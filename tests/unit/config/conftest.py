"""A directory with everything that a configuration may name."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from proxy.audit.signing import SigningKey
from proxy.config_file import ConfigReading, read_config
from proxy.postgres.wire.scram import make_verifier
from tests.harness.tokens import Issuer

MINIMAL = """
[tls]
mode = "off"
[auth]
plaintext_loopback = true
[targets.main]
host = "127.0.0.1"
database = "app"
user = "gateway"
password_env = "PGPASS"
"""
ENVIRON = {
    "PGPASS": "s3cret-of-the-target",
    "SETTING_KEY": "0123456789abcdef" * 2,
    "HOST": "db.internal",
    "PORT": "6000",
}

SEAL_KEY = SigningKey.generate()

Write = Callable[..., ConfigReading]


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("files")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(directory / "ca.pem")
    for name in ("server", "other"):
        certificate = authority.issue_cert("localhost")
        certificate.cert_chain_pems[0].write_to_path(directory / f"{name}.pem")
        certificate.private_key_pem.write_to_path(directory / f"{name}.key")
        (directory / f"{name}.key").chmod(0o600)
    Issuer().write_public_key(directory / "issuer.pem")
    (directory / "verifier").write_text(make_verifier("service password") + "\n")
    (directory / "password").write_text("from the file\r\n")
    (directory / "seal.key").write_text(SEAL_KEY.pem())
    for name in ("verifier", "password", "seal.key"):
        (directory / name).chmod(0o600)
    (directory / "policy.yaml").write_text("tenants: {}\n")
    return directory


@pytest.fixture
def base(files: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    shutil.copytree(files, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture
def read(base: Path) -> Write:
    """Write a configuration and read it."""

    def write_and_read(text: str | bytes, **environ: str) -> ConfigReading:
        path = base / "tenantgate.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_config(path, ENVIRON | environ)

    return write_and_read
