"""The gateway's configuration as frozen values; `proxy/config_file.py` reads them from tenantgate.toml.

Who may do what is not here but in the policy document (`policy/document.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from proxy.config_sinks import SinkConfig
from proxy.config_watch import WatchConfig


@dataclass(frozen=True, slots=True)
class ListenConfig:
    host: str = "127.0.0.1"
    port: int = 6432
    admin_host: str = "127.0.0.1"
    admin_port: int = 9632  # /metrics /healthz /readyz; 0 picks a free one
    backlog: int = 1024


@dataclass(frozen=True, slots=True)
class TlsConfig:
    """mode: require (a password is never asked for without TLS) | allow | off."""

    mode: str = "require"
    certificate: Path | None = None
    key: Path | None = None
    client_ca: Path | None = None  # mTLS: certificates signed by it may be mapped to principals
    sni_suffix: str | None = None  # acme.db.example.com selects tenant acme for suffix ".db.example.com"


@dataclass(frozen=True, slots=True)
class IssuerConfig:
    """One trusted token issuer (RFC 7519). Exactly one source of keys.

    tenants: the tenant ids this issuer may speak for, None: all.
    """

    issuer: str
    audience: str
    algorithms: tuple[str, ...] = ("RS256", "ES256", "EdDSA")
    key_file: Path | None = None  # PEM public key, or a JWKS document
    jwks: Mapping[str, object] | None = None
    jwks_url: str | None = None
    jwks_cache_s: float = 300.0
    hs256_secret: bytes | None = field(default=None, repr=False)
    tenant_claim: str = "tenant"
    roles_claim: str = "roles"
    groups_claim: str = "groups"  # for assignments of the policy
    attribute_claims: tuple[str, ...] = ()
    tenants: frozenset[str] | None = None
    leeway_s: float = 30.0
    max_lifetime_s: float = 86_400.0  # exp - iat may not be more
    revoked_token_ids: frozenset[str] = frozenset()  # jti claims that are refused
    oauth_scope: str = "openid"  # told to OAUTHBEARER clients that come without a token


@dataclass(frozen=True, slots=True)
class ServiceAccountConfig:
    """A principal that logs in with SCRAM-SHA-256; `verifier` has PostgreSQL's rolpassword form."""

    name: str
    verifier: str = field(repr=False)
    tenants: frozenset[str]
    roles: frozenset[str]


@dataclass(frozen=True, slots=True)
class CertificateConfig:
    """A client certificate's common name mapped to a principal."""

    common_name: str
    tenants: frozenset[str]
    roles: frozenset[str]


@dataclass(frozen=True, slots=True)
class AuthConfig:
    """default_method: password | oauthbearer, for users who are no service account."""

    issuers: tuple[IssuerConfig, ...] = ()
    service_accounts: Mapping[str, ServiceAccountConfig] = field(default_factory=dict)
    certificates: Mapping[str, CertificateConfig] = field(default_factory=dict)
    default_method: str = "password"
    plaintext_loopback: bool = False  # ask for a password without TLS, from loopback addresses only
    max_token_bytes: int = 16_384
    login_timeout_s: float = 15.0


@dataclass(frozen=True, slots=True)
class TargetConfig:
    """A database server that we protect. tls: disable | prefer | require | verify-ca | verify-full.

    enforcement: rewrite | native | both: who does the tenant test, the rewritten statement, row-level security on the
    target, or each on its own. setting_key proves the value of the setting that row-level security goes by. mask_key is
    that of policies' masks hash and token; it is a setting of the gateway's connections.
    """

    name: str
    host: str
    port: int
    database: str
    user: str
    password: str = field(default="", repr=False)
    tls: str = "prefer"
    ca_file: Path | None = None
    connect_timeout_s: float = 5.0
    min_backends: int = 0
    max_backends: int = 100
    idle_timeout_s: float = 300.0
    max_lifetime_s: float = 3600.0
    acquire_timeout_s: float = 10.0
    enforcement: str = "rewrite"
    setting_key: bytes | None = field(default=None, repr=False)
    mask_key: str | None = field(default=None, repr=False)
    lanes: bool = True  # fast reads of many sessions share backends

    @property
    def native(self) -> bool:
        """Row-level security on the target is told which tenant asks."""
        return self.enforcement != "rewrite"

    @property
    def relies_on_locks(self) -> bool:
        """Statements leave the tenant test to it where it is there."""
        return self.enforcement == "native"


RETENTION_DAYS: Mapping[str, int] = MappingProxyType(
    {"soc2": 365, "iso27001": 365, "pci": 365, "hipaa": 6 * 365 + 2, "sox": 7 * 365 + 2}
)
"""Days that a framework asks for: HIPAA 45 CFR 164.316(b)(2)(i), PCI DSS 10.5.1, SOX 17 CFR 210.2-06; or a year."""


@dataclass(frozen=True, slots=True)
class AuditConfig:
    """level: response | request+response. parameters: values | hashed | off, of the extended protocol; those of
    statements that reach one of `hashed_columns` (`schema.table.column` or `table.column`), or a table or column that
    the policy gives one of `hashed_tags`, are hashed in any case, and literals in their texts are blanked.
    parameter_key: of the hashes; None: one that hangs on the signing key, or a random one for each process.
    acknowledge: off | written | synced: what a reply waits for, that its events are in the file, or on the disk.
    signing_key: PEM, see proxy/audit/signing.py; None: the log is not sealed. seal_events, seal_interval_s: when a
    segment is sealed at the latest. anchor_file, anchor_command: where seals go besides the log.
    """

    path: Path = Path("audit/audit.jsonl")
    fsync: bool = False
    flush_interval_s: float = 0.01
    max_queue: int = 100_000
    level: str = "response"
    parameters: str = "values"
    hashed_columns: tuple[str, ...] = ()
    hashed_tags: tuple[str, ...] = ()
    parameter_key: str | None = field(default=None, repr=False)
    sinks: tuple[SinkConfig, ...] = ()
    watch: WatchConfig = field(default_factory=WatchConfig)
    acknowledge: str = "off"
    on_failure: str = "deny"  # deny | spill | block
    spill_directory: Path | None = None
    spill_key: str | None = field(default=None, repr=False)
    spill_max_bytes: int = 1024**3
    block_s: float = 30.0
    signing_key: str | None = field(default=None, repr=False)
    seal_events: int = 16_384
    seal_interval_s: float = 60.0
    anchor_file: Path | None = None
    anchor_command: tuple[str, ...] = ()
    conceal: str = "off"  # off | tenant | subject: texts are encrypted under a key of each
    text_key: str | None = field(default=None, repr=False)
    key_store: Path | None = None
    retention_days: int | None = None  # None: files are kept for ever
    retention_frameworks: tuple[str, ...] = ()
    retention_tenants: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RedisConfig:
    """Where a fleet shares its limits per period. when_away: what holds while it cannot be reached: local (each machine
    counts for itself) | deny | allow. lease_s: after so long without a word a machine's share is the others'."""

    url: str = field(repr=False)
    when_away: str = "local"
    lease_s: float = 5.0
    prefix: str = "tenantgate"


@dataclass(frozen=True, slots=True)
class QuotasConfig:
    """Keeping quotas. state_file: there what was used per period outlives a restart; None: beside the audit log."""

    storage_interval_s: float = 60.0
    state_file: Path | None = None
    redis: RedisConfig | None = None


@dataclass(frozen=True, slots=True)
class LogConfig:
    level: str = "info"
    format: str = "auto"  # auto: human on a terminal, JSON otherwise


@dataclass(frozen=True, slots=True)
class LimitsConfig:
    max_message_bytes: int = 64 * 1024 * 1024
    max_query_bytes: int = 1024 * 1024
    max_connections: int = 10_000
    max_prepared: int = 10_000  # named statements, and portals, of one session
    drain_s: float = 30.0
    stalled_message_s: float = 60.0  # half a message and then silence: the connection is closed
    write_high_bytes: int = 256 * 1024
    plan_cache_bytes: int = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class PolicyConfig:
    """store: a SQLite file's path or a postgresql:// URL, in the place of the policy document; None: the document.

    max_age_s: for how long statements are judged by a snapshot that nobody can say to be the newest; None: for ever.
    """

    store: str | None = field(default=None, repr=False)
    max_age_s: float | None = None


@dataclass(frozen=True, slots=True)
class GatewayConfig:
    """All of tenantgate.toml. `policy_file` is the policy document, where `policy` names no store; `workers` is how
    many processes serve."""

    policy_file: Path
    workers: int = 1
    policy: PolicyConfig = PolicyConfig()
    listen: ListenConfig = ListenConfig()
    tls: TlsConfig = TlsConfig()
    auth: AuthConfig = AuthConfig()
    targets: Mapping[str, TargetConfig] = field(default_factory=dict)
    audit: AuditConfig = AuditConfig()
    log: LogConfig = LogConfig()
    limits: LimitsConfig = LimitsConfig()
    quotas: QuotasConfig = QuotasConfig()
