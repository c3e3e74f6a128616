"""What is wrong with a tenantgate.toml is told all at once, each with its key path and a hint."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policy.problems import Problems
from proxy.config_file import ConfigReading, _read_all, read_config
from proxy.config_values import Reading, Table
from tests.unit.config.conftest import ENVIRON, MINIMAL, Write

TLS = '[tls]\ncertificate = "server.pem"\nkey = "server.key"\n'
ISSUER = '[[auth.issuers]]\nissuer = "https://one"\naudience = "gw"\n'


def _keys(reading: ConfigReading) -> list[str]:
    return [key for key, _, _ in reading.problems]


def _warned(reading: ConfigReading) -> list[str]:
    return [key for key, _, _ in reading.warnings if key != "auth"]


def _only(reading: ConfigReading) -> tuple[str, str, str]:
    assert reading.config is None
    assert len(reading.problems) == 1, reading.problems
    return reading.problems[0]


def test_all_problems_of_a_file_at_once(read: Write) -> None:
    reading = read(
        """
polcy = "policy.yaml"
[listen]
port = 70000
hots = "x"
[tls]
mode = "on"
[auth]
login_timeout_s = "5 parsecs"
[[auth.issuers]]
issuer = 5
[targets.main]
host = "h"
port = "5432"
database = "d"
password_env = "NOT_SET"
tls = "verify_full"
[limits]
max_message_bytes = "-5MB"
drain_s = true
"""
    )
    assert sorted(_keys(reading)) == [
        "auth.issuers[0]",
        "auth.issuers[0].audience",
        "auth.issuers[0].issuer",
        "auth.login_timeout_s",
        "limits.drain_s",
        "limits.max_message_bytes",
        "listen.hots",
        "listen.port",
        "polcy",
        "targets.main.password_env",
        "targets.main.port",
        "targets.main.tls",
        "targets.main.user",
        "tls.certificate",
        "tls.key",
        "tls.mode",
    ]
    hints = {key: hint for key, _, hint in reading.problems}
    assert hints["polcy"] == "Did you mean policy?"
    assert hints["listen.hots"] == "Did you mean host?"
    assert hints["targets.main.tls"] == "Did you mean verify-full?"
    assert all(hints.values())


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        ('workers = "many"', "workers", "whole number"),
        ("workers = 0", "workers", "from 1 to 60"),
        ("workers = 9\n[targets.b]\nhost='h'\ndatabase='d'\nuser='u'\nmax_backends = 8\ntls = 'require'\n",
         "targets.b.max_backends", "less than the 9 workers"),
        ("[listen]\nport = true", "listen.port", "a boolean"),
        ("[listen]\nport = -1", "listen.port", "from 0 to 65535"),
        ("[listen]\nport = 9632", "listen.admin_port", "same as port"),
        ('[listen]\nhost = ""', "listen.host", "empty"),
        ("listen = 5", "listen", "must be a table"),
        ('[auth]\nplaintext = "x"', "auth.plaintext", "unknown key"),
        ('[auth]\ndefault_method = "kerberos"', "auth.default_method", "password, oauthbearer"),
        ("[auth]\nissuers = 3", "auth.issuers", "list of tables"),
        ("[auth]\nlogin_timeout = 5\nlogin_timeout_s = 5", "auth.login_timeout", "given together"),
        ("[auth]\nmax_token_bytes = 1.5", "auth.max_token_bytes", "whole number of bytes"),
        ("[auth.service_accounts.r]\ntenants = []\nroles = []", "auth.service_accounts.r.verifier", "missing"),
        ('[auth.certificates.cn]\ntenants = "acme"\nroles = []', "auth.certificates.cn.tenants", "list of texts"),
        ("[auth.certificates.cn]\nroles = []", "auth.certificates.cn.tenants", "missing"),
        ("[auth.certificates.cn]\ntenants = [1]\nroles = []", "auth.certificates.cn.tenants", "list of texts"),
        ('[log]\nlevel = "loud"', "log.level", "must be one of"),
        ('[audit]\npath = "."', "audit.path", "directory"),
        ('[audit]\nfsync = "yes"', "audit.fsync", "true or false"),
        ('[limits]\nmax_query_bytes = "512MB"', "limits.max_query_bytes", "more than max_message_bytes"),
        ("[limits]\nmax_message_bytes = inf", "limits.max_message_bytes", "infinite"),
        ("[limits]\ndrain_s = nan", "limits.drain_s", "infinite"),
        ("[target.main]\n", "target", "unknown key"),
        ('[targets."a b"]\nhost="h"\ndatabase="d"\nuser="u"', 'targets."a b"', "not a name"),
        ("[targets.b]\ndatabase='d'\nuser='u'\nhost='${NOT_SET}'", "targets.b.host", "NOT_SET is not set"),
        ("[targets.b]\nhost='h'\ndatabase='d'\nuser='u'\nca_file='nowhere'", "targets.b.ca_file", "No such file"),
        ("[targets.b]\nhost='h'\ndatabase='d'\nuser='u'\nca_file='policy.yaml'", "targets.b.ca_file", "no CA"),
        ("[targets.b]\nhost='h'\ndatabase='d'\nuser='u'\npassword=5", "targets.b.password", "must be text"),
        ("[targets.b]\nhost='h'\ndatabase='d'\nuser='u'\npassword='a'\npassword_env='PGPASS'",
         "targets.b.password_env", "given together"),
        ("[targets.b]\nhost='h'\ndatabase='d'\nuser='u'\npassword_file='nowhere'",
         "targets.b.password_file", "No such file"),
    ],
)  # fmt: skip
def test_one_problem(read: Write, text: str, key: str, words: str) -> None:
    base = MINIMAL.replace("[auth]\nplaintext_loopback = true\n", "") if "[auth]" in text else MINIMAL
    base = text + "\n" + base if text.startswith(("listen =", "workers")) else base + text + "\n"
    found, message, hint = _only(read(base))
    assert (found, words in message) == (key, True), message
    assert hint


@pytest.mark.parametrize(
    ("lines", "key", "words"),
    [
        ("", "auth.issuers[0]", "0 sources of keys"),
        ('key_file = "issuer.pem"\njwks_url = "https://x/y"', "auth.issuers[0]", "2 sources"),
        ('key_file = "server.key"', "auth.issuers[0].key_file", "private key"),
        ('key_file = "policy.yaml"', "auth.issuers[0].key_file", "neither PEM nor"),
        ('key_file = "nowhere"', "auth.issuers[0].key_file", "No such file"),
        ("jwks = '{\"keys\": []}'", "auth.issuers[0].jwks", "no usable"),
        ("jwks = 'nonsense'", "auth.issuers[0].jwks", "Expecting value"),
        ('jwks_url = "http://issuer.example.com/keys"', "auth.issuers[0].jwks_url", "not an https address"),
        ('jwks_url = "https://[::"', "auth.issuers[0].jwks_url", "not an https address"),
        ('jwks_url = "file:///etc/passwd"', "auth.issuers[0].jwks_url", "not an https address"),
        ('hs256_secret_env = "SHORT"', "auth.issuers[0].hs256_secret", "shorter than 32 bytes"),
        ('hs256_secret_env = "LONG"\nalgorithms = ["RS256"]', "auth.issuers[0].algorithms", "HS256 only"),
        ('key_file = "issuer.pem"\nalgorithms = ["none"]', "auth.issuers[0].algorithms", "'none' is not"),
        ('key_file = "issuer.pem"\nalgorithms = ["HS256"]', "auth.issuers[0].algorithms", "shared secret"),
        ('key_file = "issuer.pem"\nalgorithms = []', "auth.issuers[0].algorithms", "empty"),
        (f'key_file = "issuer.pem"\n{ISSUER}key_file = "issuer.pem"', "auth.issuers", "configured twice"),
    ],
)
def test_issuers(read: Write, lines: str, key: str, words: str) -> None:
    text = MINIMAL + ISSUER + lines + "\n"
    found, message, _ = _only(read(text, SHORT="x" * 31, LONG="x" * 32))
    assert (found, words in message) == (key, True), message


def test_an_issuer_cannot_pass_for_the_configuration(read: Write) -> None:
    issuer = ISSUER.replace("https://one", "local")
    key, message, _ = _only(read(MINIMAL + issuer + 'key_file = "issuer.pem"\n'))
    assert (key, "may not be called local" in message) == ("auth.issuers", True)


def test_a_shared_secret_that_cannot_be_read_is_not_taken_for_another_algorithm(read: Write) -> None:
    assert _keys(read(MINIMAL + ISSUER + 'hs256_secret_env = "NOT_SET"\n')) == ["auth.issuers[0].hs256_secret_env"]


@pytest.mark.parametrize("url", ["https://issuer.example.com/keys", "http://127.0.0.1:8080/k", "http://localhost/k"])
def test_addresses_of_keys(read: Write, url: str) -> None:
    assert read(MINIMAL + ISSUER + f'jwks_url = "{url}"\n').problems == ()


def test_a_bad_verifier_is_not_shown(read: Write) -> None:
    text = MINIMAL + '[auth.service_accounts.r]\nverifier = "SCRAM-SHA-256$oops-secret"\ntenants = []\nroles = []\n'
    key, message, hint = _only(read(text))
    assert key == "auth.service_accounts.r.verifier"
    assert "oops" not in message + hint


class TestTls:
    def _read(self, read: Write, tls: str) -> ConfigReading:
        return read(MINIMAL.replace('[tls]\nmode = "off"\n', tls))

    def test_a_matching_pair(self, read: Write) -> None:
        assert self._read(read, TLS).problems == ()

    @pytest.mark.parametrize(
        ("change", "key", "words"),
        [
            (("server.key", "other.key"), "tls.key", "does not belong to"),
            (("server.key", "ca.pem"), "tls.key", "no private key"),
            (("server.pem", "policy.yaml"), "tls.certificate", "no certificate"),
            (("server.pem", "nowhere.pem"), "tls.certificate", "No such file"),
            (('"server.key"', '"server.key"\nclient_ca = "policy.yaml"'), "tls.client_ca", "no CA certificate"),
            (('"server.key"', '"server.key"\nsni_suffix = "db.example.com"'), "tls.sni_suffix", "not a suffix"),
            (("certificate =", "certificat ="), "tls.certificate", "missing"),
        ],
    )
    def test_what_cannot_be_used(self, read: Write, change: tuple[str, str], key: str, words: str) -> None:
        problems = {key: message for key, message, _ in self._read(read, TLS.replace(*change)).problems}
        assert words in problems[key]

    def test_a_key_with_a_passphrase(self, read: Write, base: Path) -> None:
        key = serialization.load_pem_private_key((base / "server.key").read_bytes(), None)
        locked = serialization.BestAvailableEncryption(b"x")
        pem = serialization.Encoding.PEM
        (base / "server.key").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, locked))
        assert "passphrase" in _only(self._read(read, TLS))[1]

    def test_a_key_that_everybody_may_read_is_a_warning(self, read: Write, base: Path) -> None:
        (base / "server.key").chmod(0o644)
        assert _warned(self._read(read, TLS)) == ["tls.key"]

    def test_a_certificate_that_has_expired_is_a_warning(self, read: Write, base: Path) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        builder = builder.serial_number(1).not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        certificate = builder.not_valid_after(datetime.now(UTC) - timedelta(days=1)).sign(key, hashes.SHA256())
        pem = serialization.Encoding.PEM
        (base / "server.pem").write_bytes(certificate.public_bytes(pem))
        private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        (base / "server.key").write_bytes(private)
        reading = self._read(read, TLS)
        assert reading.problems == ()
        assert "expired" in {key: message for key, message, _ in reading.warnings}["tls.certificate"]

    def test_mappings_of_certificates_without_an_authority_are_a_warning(self, read: Write) -> None:
        text = MINIMAL + "[auth.certificates.cn]\ntenants = []\nroles = []\n"
        assert _warned(read(text)) == ["tls.client_ca"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"[listen]\nport = = 3\n", "line 2"),
        (b"[listen]\n[listen]\n", "line 2"),
        (b"a = 1\nb = '\xff'\n", "not UTF-8 (at line 2)"),
        (b"a = " + b"[" * 50_000, "nested too deeply"),
    ],
)
def test_text_that_is_no_toml(read: Write, text: bytes, words: str) -> None:
    key, message, hint = _only(read(text))
    assert key == "tenantgate.toml"
    assert words in message
    assert hint


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    reading = read_config(tmp_path / "no.toml", {})
    assert _only(reading)[1] == "cannot be read: No such file or directory"
    assert reading.policy_file is None


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "big.toml"
    with path.open("wb") as file:
        file.truncate(20 * 1024 * 1024)
    assert "larger than 10 MB" in _only(read_config(path, {}))[1]


def test_missing_policy_and_no_target(read: Write, base: Path) -> None:
    (base / "policy.yaml").unlink()
    reading = read('[tls]\nmode = "off"\n')
    assert _keys(reading) == ["policy", "targets"]
    assert str(base / "policy.yaml") in reading.problems[0][2]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_secret_that_may_not_be_read(read: Write, base: Path) -> None:
    (base / "password").chmod(0)
    text = MINIMAL.replace('password_env = "PGPASS"', 'password_file = "password"')
    assert "Permission denied" in _only(read(text))[1]


def test_settings_that_let_nobody_in_or_listen_in_the_open_are_warnings(read: Write) -> None:
    text = MINIMAL.replace("plaintext_loopback = true", "") + '[listen]\nhost = "0.0.0.0"\n'
    reading = read(text)
    assert [key for key, _, _ in reading.warnings] == ["auth", "tls.mode", "tls.mode"]
    assert "nobody can log in" in reading.warnings[0][1]


@given(
    data=st.recursive(st.booleans() | st.integers() | st.text(max_size=5) | st.floats(), st.lists, max_leaves=3),
    key=st.sampled_from(["listen", "tls", "auth", "targets", "audit", "log", "limits", "policy"]),
    inner=st.sampled_from(["port", "host", "mode", "key", "issuers", "path", "fsync", "drain_s", "x", "max_query"]),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
def test_any_value_anywhere_is_an_answer_not_a_crash(base: Path, data: object, key: str, inner: str) -> None:
    for values in ({key: data}, {key: {inner: data}}, {key: {inner: {inner: data}}}):
        problems = Problems()
        _read_all(Table(Reading(problems, ENVIRON, base), "", values))
        assert problems.found


def test_a_client_ca_that_cannot_be_read_is_not_also_called_missing(read: Write) -> None:
    text = MINIMAL + "[auth.certificates.cn]\ntenants = []\nroles = []\n"
    reading = read(text.replace('mode = "off"', 'mode = "off"\nclient_ca = "nowhere"'))
    assert _keys(reading) == ["tls.client_ca"]
    assert _warned(reading) == []


@pytest.mark.parametrize("enforcement", ["native", "both"])
def test_a_second_lock_without_a_key_is_warned_about(read: Write, enforcement: str) -> None:
    reading = read(MINIMAL + f'enforcement = "{enforcement}"\n')
    assert reading.config is not None
    assert _warned(reading) == ["targets.main.setting_key"]


def test_a_key_that_is_short_and_an_enforcement_that_nobody_knows(read: Write) -> None:
    reading = read(MINIMAL + 'enforcement = "boht"\nsetting_key = "too short"\n')
    assert _keys(reading) == ["targets.main.enforcement", "targets.main.setting_key"]
    assert "Did you mean both?" in reading.problems[0]
    assert not any("too short" in text for text in reading.problems[1])
