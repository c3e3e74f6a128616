"""The section [api]: read by the admin API, left alone by gateways, checked by check-config."""

from __future__ import annotations

from pathlib import Path

import pytest

from admin.cli.api_settings import ApiSettings, load_api_settings
from admin.cli.main import main
from policy.errors import ConfigurationError
from proxy.config_file import load_config

_BASE = """
policy = "policy.yaml"
[tls]
mode = "off"
[auth]
plaintext_loopback = true
[[auth.issuers]]
issuer = "i"
audience = "a"
hs256_secret_env = "SECRET"
[targets.shop]
host = "127.0.0.1"
database = "shop"
user = "gateway"
"""
_ENVIRON = {"SECRET": "s" * 40, "PASSWORD": "secret of the account"}


def write(directory: Path, api: str) -> Path:
    (directory / "policy.yaml").write_text("tenants: {acme: {isolation: shared, target: shop}}\n")
    path = directory / "tenantgate.toml"
    path.write_text(_BASE + api)
    return path


def settings_of(path: Path) -> ApiSettings:
    return load_api_settings(path, load_config(path, _ENVIRON), _ENVIRON)


def test_without_the_section_it_listens_on_localhost_and_reaches_nothing(tmp_path: Path) -> None:
    settings = settings_of(write(tmp_path, ""))
    assert (settings.host, settings.port, settings.gateways, settings.targets) == ("127.0.0.1", 9633, (), {})
    assert len(settings.cursor_key) == 32


def test_what_it_reaches(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
[api]
port = 1234
host_suffix = ".api.example.com"
export_dir = "exports"
[[api.gateways]]
host = "gateway"
user = "admin-api"
password_env = "PASSWORD"
[api.targets.shop]
admin_user = "postgres"
admin_password_env = "PASSWORD"
""",
    )
    settings = settings_of(path)
    assert (settings.port, settings.export_dir) == (1234, tmp_path / "exports")
    (gateway,) = settings.gateways
    assert (gateway.name, gateway.user, gateway.tls, gateway.database) == (
        "gateway:6432", "admin-api", "verify-full", "tenantgate",
    )  # fmt: skip
    assert settings.targets["shop"].password == gateway.password == _ENVIRON["PASSWORD"]
    assert _ENVIRON["PASSWORD"] not in repr(settings)


@pytest.mark.parametrize(
    ("api", "key", "hint"),
    [
        ("[api]\nprot = 1\n", "api.prot", "port"),
        ('[api]\nhost = "0.0.0.0"\n', "api.host", "TLS"),
        ('[api]\nhost_suffix = "api.example.com"\n', "api.host_suffix", "dot"),
        ('[api.targets.shup]\nadmin_user = "x"\n', "api.targets.shup", "shop"),
        ('[api]\ncursor_key_env = "SHORT"\n', "api.cursor_key", "openssl"),
        ("[[api.gateways]]\nport = 1\n", "api.gateways[0].user", "user"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, api: str, key: str, hint: str) -> None:
    path = write(tmp_path, api)
    with pytest.raises(ConfigurationError) as caught:
        load_api_settings(path, load_config(path, _ENVIRON), {**_ENVIRON, "SHORT": "short"})
    ((found, _, told),) = caught.value.problems
    assert found == key
    assert hint in told


def test_check_config_reads_it_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in _ENVIRON.items():
        monkeypatch.setenv(name, value)
    assert main(["check-config", "-c", str(write(tmp_path, "[api]\nport = 0\n"))]) == 0
    assert main(["check-config", "-c", str(write(tmp_path, "[api]\nport = 99999\n"))]) == 1
    assert "api.port" in capsys.readouterr().out
