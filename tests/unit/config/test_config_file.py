"""tenantgate.toml: every field arrives, defaults are those of proxy/config.py, secrets come from where they should."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import pytest

from policy.errors import ConfigurationError
from proxy import config
from proxy.config_file import load_config, read_listen_section
from proxy.config_sinks import SinkConfig
from proxy.config_watch import WatchConfig
from proxy.postgres.wire.scram import make_verifier
from tests.harness.tokens import Issuer
from tests.unit.config.conftest import ENVIRON, MINIMAL, SEAL_KEY, Write

EVERYTHING = """
policy = "policy.yaml"
workers = 2
[listen]
host = "0.0.0.0"
port = 7000
admin_host = "::1"
admin_port = 7001
backlog = 5
[tls]
mode = "allow"
certificate = "server.pem"
key = "server.key"
client_ca = "ca.pem"
sni_suffix = ".db.example.com"
[auth]
default_method = "oauthbearer"
plaintext_loopback = true
max_token_bytes = "8kB"
login_timeout_s = "7s"
[[auth.issuers]]
issuer = "https://one"
audience = "gw"
algorithms = ["EdDSA"]
key_file = "issuer.pem"
jwks_cache_s = 60
tenant_claim = "org"
roles_claim = "groups"
groups_claim = "teams"
attribute_claims = ["region"]
tenants = ["acme"]
leeway_s = 5
max_lifetime_s = "2h"
revoked_token_ids = ["x1"]
oauth_scope = "database"
[[auth.issuers]]
issuer = "https://two"
audience = "gw"
jwks_url = "https://two/keys"
[[auth.issuers]]
issuer = "https://three"
audience = "gw"
hs256_secret_env = "HS"
[[auth.issuers]]
issuer = "https://four"
audience = "gw"
jwks = '''JWKS'''
[auth.service_accounts.reporting]
verifier_file = "verifier"
tenants = ["acme"]
roles = ["analyst"]
[auth.certificates."batch.example.com"]
tenants = ["acme", "globex"]
roles = []
[targets.main]
host = "${HOST}"
port = "${PORT}"
database = "app"
user = "gateway"
password_file = "password"
tls = "verify-full"
ca_file = "ca.pem"
connect_timeout = "300ms"
min_backends = 2
max_backends = 7
idle_timeout_s = "1min"
max_lifetime_s = "2h"
acquire_timeout_s = 1.5
lanes = false
enforcement = "both"
setting_key_env = "SETTING_KEY"
mask_key_env = "SETTING_KEY"
[audit]
path = "log/audit.jsonl"
fsync = true
flush_interval_s = "20ms"
max_queue = 10
level = "request+response"
parameters = "hashed"
hashed_columns = ["public.customers.card", "orders.total"]
hashed_tags = ["pii"]
parameter_key = "k"
on_failure = "spill"
spill_directory = "spill"
spill_key_env = "SETTING_KEY"
spill_max_bytes = "1MB"
block_s = 3
acknowledge = "synced"
signing_key_file = "seal.key"
seal_events = 100
seal_interval_s = "5s"
anchor_file = "seals.jsonl"
anchor_command = ["/bin/cat"]
conceal = "subject"
text_key_env = "SETTING_KEY"
key_store = "text-keys.sqlite"
retention_days = 400
retention_frameworks = ["soc2", "hipaa"]
retention_tenants = {acme = 4000}
[audit.watch]
window_s = 60
failed_logins = 3
refused_statements = 4
personal = ["public.customers"]
habit_factor = 3
habit_least = 50
hours = "7-20"
days = ["mon"]
time_zone = "Europe/Berlin"
learning_days = 7
canary_relations = ["public.honey"]
canary_tenants = ["trap"]
unusual = true
[audit.sinks.siem]
type = "syslog"
url = "tls://siem.example.com"
ca_file = "ca.pem"
certificate = "server.pem"
key = "server.key"
[audit.sinks.search]
type = "elasticsearch"
url = "https://elastic.example.com:9200"
user = "writer"
secret_env = "PGPASS"
topic = "logs"
tenants = ["acme"]
batch = 10
timeout_s = "3s"
max_behind_bytes = "1MB"
[log]
level = "debug"
format = "json"
[quotas]
storage_interval_s = "2min"
state_file = "log/quotas.json"
[quotas.redis]
url = "redis://127.0.0.1:6379/3"
when_away = "deny"
lease_s = 9
prefix = "shop"
[limits]
max_message_bytes = "32MB"
max_query = "512kB"
max_connections = 11
max_prepared = 12
drain_s = "1min"
stalled_message_s = 14
write_high_bytes = 65536
plan_cache_bytes = "1MB"
"""


def _json(value: object) -> str:
    import json

    return json.dumps(value)


def test_every_key_reaches_its_field(read: Write, base: Path) -> None:
    text = EVERYTHING.replace("JWKS", _json(Issuer().jwks))
    reading = read(text, HS="k" * 40)
    assert reading.problems == ()
    got = reading.config
    assert got is not None
    assert got.policy_file == base / "policy.yaml"
    assert got.listen == config.ListenConfig("0.0.0.0", 7000, "::1", 7001, 5)
    assert got.tls == config.TlsConfig(
        "allow", base / "server.pem", base / "server.key", base / "ca.pem", ".db.example.com"
    )
    one, two, three, four = got.auth.issuers
    assert one == config.IssuerConfig(
        issuer="https://one",
        audience="gw",
        algorithms=("EdDSA",),
        key_file=base / "issuer.pem",
        jwks_cache_s=60.0,
        tenant_claim="org",
        roles_claim="groups",
        groups_claim="teams",
        attribute_claims=("region",),
        tenants=frozenset({"acme"}),
        leeway_s=5.0,
        max_lifetime_s=7200.0,
        revoked_token_ids=frozenset({"x1"}),
        oauth_scope="database",
    )
    assert two == config.IssuerConfig(issuer="https://two", audience="gw", jwks_url="https://two/keys")
    assert three.hs256_secret == b"k" * 40
    assert three.algorithms == ("HS256",)
    assert four.jwks is not None
    assert "keys" in four.jwks
    auth = got.auth
    assert (auth.default_method, auth.plaintext_loopback, auth.max_token_bytes, auth.login_timeout_s) == (
        "oauthbearer",
        True,
        8192,
        7.0,
    )
    account = auth.service_accounts["reporting"]
    assert (account.name, account.tenants, account.roles) == (
        "reporting",
        frozenset({"acme"}),
        frozenset({"analyst"}),
    )
    assert account.verifier == (base / "verifier").read_text().strip()
    certificate = auth.certificates["batch.example.com"]
    assert certificate == config.CertificateConfig("batch.example.com", frozenset({"acme", "globex"}), frozenset())
    assert got.targets["main"] == config.TargetConfig(
        name="main",
        host="db.internal",
        port=6000,
        database="app",
        user="gateway",
        password="from the file",
        tls="verify-full",
        ca_file=base / "ca.pem",
        connect_timeout_s=0.3,
        min_backends=2,
        max_backends=7,
        idle_timeout_s=60.0,
        max_lifetime_s=7200.0,
        acquire_timeout_s=1.5,
        lanes=False,
        enforcement="both",
        setting_key=b"0123456789abcdef0123456789abcdef",
        mask_key="0123456789abcdef0123456789abcdef",
    )
    assert got.audit == config.AuditConfig(
        base / "log/audit.jsonl",
        True,
        0.02,
        10,
        "request+response",
        "hashed",
        ("public.customers.card", "orders.total"),
        ("pii",),
        "k",
        (
            SinkConfig(
                "siem",
                "syslog",
                "tls://siem.example.com",
                ca_file=base / "ca.pem",
                certificate=base / "server.pem",
                key=base / "server.key",
            ),
            SinkConfig(
                "search",
                "elasticsearch",
                "https://elastic.example.com:9200",
                "writer",
                ENVIRON["PGPASS"],
                "logs",
                frozenset({"acme"}),
                10,
                3.0,
                1024**2,
            ),
        ),
        WatchConfig(
            True,
            60.0,
            3,
            4,
            ("public.customers",),
            3.0,
            50,
            "7-20",
            ("mon",),
            "Europe/Berlin",
            7,
            ("public.honey",),
            ("trap",),
            True,
        ),
        "synced",
        "spill",
        base / "spill",
        ENVIRON["SETTING_KEY"],
        1024**2,
        3.0,
        SEAL_KEY.pem().strip(),
        100,
        5.0,
        base / "seals.jsonl",
        ("/bin/cat",),
        "subject",
        ENVIRON["SETTING_KEY"],
        base / "text-keys.sqlite",
        400,
        ("soc2", "hipaa"),
        {"acme": 4000},
    )
    assert got.log == config.LogConfig("debug", "json")
    assert got.limits == config.LimitsConfig(32 * 1024**2, 512 * 1024, 11, 12, 60.0, 14.0, 65536, 1024**2)


def test_the_file_above_names_every_field_of_the_configuration() -> None:
    """So that a field that is added to proxy/config.py cannot be forgotten here and in the reader."""
    named_otherwise = {
        "name",
        "common_name",
        "policy_file",
        "hs256_secret",
        "verifier",
        "password",
        "jwks",
        "mask_key",
        "setting_key",
        "kind",
        "enabled",
        "signing_key",
        "spill_key",
        "text_key",
        "secret",
        "store",  # test_config_policy.py: it goes without a document
        "max_age_s",
    }
    classes = [value for value in vars(config).values() if dataclasses.is_dataclass(value)]
    fields = {field.name for cls in classes for field in dataclasses.fields(cls)} - named_otherwise
    sections = {
        "listen",
        "tls",
        "auth",
        "targets",
        "audit",
        "log",
        "limits",
        "issuers",
        "service_accounts",
        "certificates",
        "sinks",
        "watch",
        "quotas",
        "redis",
    }
    keys = {line.split(" = ")[0] for line in EVERYTHING.splitlines() if " = " in line}
    missing = {f for f in fields - sections if not {f, f.removesuffix("_s"), f.removesuffix("_bytes")} & keys}
    assert not missing


def test_what_is_left_out_has_the_defaults(read: Write, base: Path) -> None:
    got = read(MINIMAL).config
    assert got is not None
    target = config.TargetConfig("main", "127.0.0.1", 5432, "app", "gateway", ENVIRON["PGPASS"])
    assert got == config.GatewayConfig(
        policy_file=base / "policy.yaml",
        tls=config.TlsConfig(mode="off"),
        auth=config.AuthConfig(plaintext_loopback=True),
        targets={"main": target},
        audit=config.AuditConfig(path=base / "audit/audit.jsonl"),
    )


def test_secrets_are_in_no_repr_problem_or_warning(read: Write) -> None:
    text = MINIMAL.replace('password_env = "PGPASS"', 'password = "hunter2-secret"\nport = 99999')
    reading = read(text)
    assert "hunter2" not in repr(reading)
    assert [key for key, _, _ in reading.warnings if key.endswith("password")] == ["targets.main.password"]
    good = read(MINIMAL)
    assert ENVIRON["PGPASS"] not in repr(good)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('password = "${PGPASS}"', "s3cret-of-the-target"),
        ('password = "x${PGPASS}y"', "xs3cret-of-the-targety"),
        ('password = "${NONE:-fallback}"', "fallback"),
        ('password_file = "password"', "from the file"),
        ('password = "plain"', "plain"),
        ("", ""),
    ],
)
def test_ways_to_give_a_password(read: Write, line: str, expected: str) -> None:
    reading = read(MINIMAL.replace('password_env = "PGPASS"', line))
    assert reading.config is not None
    assert reading.config.targets["main"].password == expected


def test_a_secret_file_that_everybody_may_read_is_a_warning(read: Write, base: Path) -> None:
    (base / "password").chmod(0o644)
    reading = read(MINIMAL.replace('password_env = "PGPASS"', 'password_file = "password"'))
    assert reading.config is not None
    assert [(key, hint) for key, _, hint in reading.warnings if key != "auth"] == [
        ("targets.main.password_file", f"Run: chmod 600 {base / 'password'}")
    ]


def test_load_config_raises_all_problems_and_logs_warnings(
    read: Write, base: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = base / "tenantgate.toml"
    path.write_text(MINIMAL.replace('password_env = "PGPASS"', 'password = "plain"'))
    with caplog.at_level(logging.WARNING):
        load_config(path, ENVIRON)
    assert "targets.main.password" in caplog.text
    path.write_text(MINIMAL + "nonsense = 1\nport = 0\n")
    with pytest.raises(ConfigurationError) as raised:
        load_config(path, ENVIRON)
    assert {key for key, _, _ in raised.value.problems} == {"targets.main.nonsense", "targets.main.port"}


def test_databases_of_targets_are_told_even_when_there_are_errors(read: Write, base: Path) -> None:
    reading = read(MINIMAL + "nonsense = 1\n")
    assert reading.config is None
    assert reading.databases == {"main": "app"}
    assert reading.policy_file == base / "policy.yaml"


def test_the_listen_section_can_be_read_alone(base: Path) -> None:
    path = base / "tenantgate.toml"
    path.write_text("[listen]\nadmin_port = 1234\n[targets.x]\nhost = 5\n")
    assert read_listen_section(path, {}).admin_port == 1234


def test_a_verifier_in_the_environment(read: Write) -> None:
    verifier = make_verifier("p")
    text = MINIMAL + '[auth.service_accounts.r]\nverifier_env = "V"\ntenants = []\nroles = []\n'
    reading = read(text, V=verifier)
    assert reading.config is not None
    assert reading.config.auth.service_accounts["r"].verifier == verifier
    assert verifier not in repr(reading.config)
