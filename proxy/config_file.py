"""tenantgate.toml to a `GatewayConfig`, with every error of the file reported at once.

docs/configuration.md describes each key. Names are those of `proxy/config.py`; its defaults are the file's defaults.
"""

from __future__ import annotations

import ipaddress
import logging
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from policy.errors import ConfigurationError
from policy.problems import Problem, Problems
from policy.second_lock import MIN_KEY_BYTES
from proxy.audit.signing import SigningKey, UnusableKey
from proxy.config import (
    RETENTION_DAYS,
    AuditConfig,
    AuthConfig,
    GatewayConfig,
    LimitsConfig,
    ListenConfig,
    LogConfig,
    TargetConfig,
    TlsConfig,
)
from proxy.config_auth import read_auth
from proxy.config_policy import read_policy
from proxy.config_quotas import read_quotas
from proxy.config_sinks import read_sinks
from proxy.config_tls import check_authorities, read_tls
from proxy.config_values import Reading, Table
from proxy.config_watch import read_watch

MAX_FILE_BYTES = 10 * 1024 * 1024
MAX_WORKERS = 60
_TARGET = TargetConfig(name="", host="", port=5432, database="", user="")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}")
AUDIT_LEVELS = ("response", "request+response")
ACKNOWLEDGEMENTS = ("off", "written", "synced")
PARAMETER_MODES = ("values", "hashed", "off")
_TLS_MODES = ("disable", "prefer", "require", "verify-ca", "verify-full")

T = TypeVar("T")
log = logging.getLogger("tenantgate.config")


@dataclass(frozen=True, slots=True)
class ConfigReading:
    """A file as far as it could be read; `config` is None when there are problems.

    policy_file (None: the policy is in a store) and databases (target to its own database) are there in any case, so
    that a policy can be checked together with a configuration that has errors.
    """

    config: GatewayConfig | None
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    policy_file: Path | None
    databases: Mapping[str, str]


def load_config(path: Path, environ: Mapping[str, str]) -> GatewayConfig:
    """The configuration in a file. Raises ConfigurationError with all problems; warnings go to the log."""
    reading = read_config(path, environ)
    for key, message, hint in reading.warnings:
        log.warning("%s: %s: %s %s", path.name, key, message, hint)
    if reading.config is None:
        raise ConfigurationError(reading.problems)
    return reading.config


def read_config(path: Path, environ: Mapping[str, str]) -> ConfigReading:
    """As `load_config`, with the problems and warnings as values."""
    problems = Problems()
    values = _read_toml(path, problems)
    if values is None:
        return ConfigReading(None, tuple(problems.found), (), None, {})
    config = _read_all(Table(Reading(problems, environ, path.absolute().parent), "", values))
    return ConfigReading(
        config=None if problems.found else config,
        problems=tuple(problems.found),
        warnings=tuple(problems.warnings),
        policy_file=None if config.policy.store is not None else config.policy_file,
        databases={name: target.database for name, target in config.targets.items()},
    )


def read_listen_section(path: Path, environ: Mapping[str, str]) -> ListenConfig:
    """Only where a gateway with this file listens; other sections may be wrong. Raises ConfigurationError."""
    problems = Problems()
    values = _read_toml(path, problems) or {}
    listen = _read_listen(Table(Reading(problems, environ, path.absolute().parent), "", values).table("listen"))
    problems.raise_if_any()
    return listen


def read_audit_section(path: Path, environ: Mapping[str, str]) -> AuditConfig:
    """[audit] alone, for readers of the log that have no use for the rest. Raises ConfigurationError."""
    problems = Problems()
    values = _read_toml(path, problems) or {}
    config = _read_audit(Table(Reading(problems, environ, path.absolute().parent), "", values).table("audit"))
    problems.raise_if_any()
    return config


def read_section(path: Path, environ: Mapping[str, str], name: str, read: Callable[[Table], T]) -> T:
    """Only one section, which others than the gateway read. Raises ConfigurationError; warnings go to the log."""
    problems = Problems()
    values = _read_toml(path, problems) or {}
    section = read(Table(Reading(problems, environ, path.absolute().parent), "", values).table(name))
    for key, message, hint in problems.warnings:
        log.warning("%s: %s: %s %s", path.name, key, message, hint)
    problems.raise_if_any()
    return section


def _read_toml(path: Path, problems: Problems) -> dict[str, object] | None:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            raise ValueError(f"larger than {MAX_FILE_BYTES // 1024 // 1024} MB")
        return tomllib.loads(data.decode())
    except OSError as error:
        problems.add(str(path), f"cannot be read: {error.strerror}", "Name the file with -c.")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        problems.add(path.name, f"is not UTF-8 (at line {line})", "Save it as UTF-8.")
    except RecursionError:
        problems.add(path.name, "is nested too deeply", "Check its brackets.")
    except ValueError as error:  # TOMLDecodeError, whose message ends with line and column
        problems.add(path.name, str(error), "The file is TOML 1.0: texts are in quotes, tables in [brackets].")
    return None


def _read_all(table: Table) -> GatewayConfig:
    tls = read_tls(table.table("tls"))
    policy_file, policy = read_policy(table)
    config = GatewayConfig(
        policy_file=policy_file,
        policy=policy,
        workers=_read_workers(table),
        listen=_read_listen(table.table("listen")),
        tls=tls,
        auth=read_auth(table.table("auth")),
        targets={name: _read_target(name, item) for name, item in table.named_tables("targets")},
        audit=_read_audit(table.table("audit")),
        log=_read_log(table.table("log")),
        limits=_read_limits(table.table("limits")),
        quotas=read_quotas(table.table("quotas")),
    )
    if not config.targets:
        table.problem("targets", "there is no target", "Add a [targets.NAME] with host, database and user.")
    table.has("api")  # admin/cli/api_settings.py reads it
    table.has("compliance")  # admin/cli/api_reports.py reads it
    _check_logins(table, config.listen, tls, config.auth)
    _check_shares(table, config)
    table.finish()
    return config


def _read_workers(table: Table) -> int:
    """`auto`: one for each processor that this process may use."""
    if table.raw("workers") == "auto":
        return min(MAX_WORKERS, len(os.sched_getaffinity(0)))
    return table.integer("workers", 1, 1, MAX_WORKERS)


def _check_shares(table: Table, config: GatewayConfig) -> None:
    """Each worker has its share of a target's backends, and one without any could serve nobody."""
    for name, item in table.named_tables("targets"):
        whole = config.targets[name].max_backends
        if whole < config.workers:
            message = f"is {whole}, less than the {config.workers} workers that share it"
            item.problem("max_backends", message, "Raise it, or have fewer workers.")


def _read_listen(table: Table) -> ListenConfig:
    default = ListenConfig()
    listen = ListenConfig(
        host=table.text("host", default.host),
        port=table.port("port", default.port, least=0),
        admin_host=table.text("admin_host", default.admin_host),
        admin_port=table.port("admin_port", default.admin_port, least=0),
        backlog=table.integer("backlog", default.backlog, 1, 65_535),
    )
    if listen.port == listen.admin_port != 0 and listen.host == listen.admin_host:
        table.problem("admin_port", f"is the same as port ({listen.port})", "Give the two listeners different ports.")
    table.finish()
    return listen


def _read_target(name: str, table: Table) -> TargetConfig:
    if _NAME.fullmatch(name) is None:
        table.problem("", "not a name for a target", "Letters, digits and _ . -")
    target = TargetConfig(
        name=name,
        host=table.text("host"),
        port=table.port("port", _TARGET.port),
        database=table.text("database"),
        user=table.text("user"),
        password=table.secret("password") or "",
        tls=table.choice("tls", _TARGET.tls, _TLS_MODES),
        ca_file=table.existing_file("ca_file"),
        connect_timeout_s=table.duration("connect_timeout_s", _TARGET.connect_timeout_s, most=600),
        min_backends=table.integer("min_backends", _TARGET.min_backends, 0, 100_000),
        max_backends=table.integer("max_backends", _TARGET.max_backends, 1, 100_000),
        idle_timeout_s=table.duration("idle_timeout_s", _TARGET.idle_timeout_s),
        max_lifetime_s=table.duration("max_lifetime_s", _TARGET.max_lifetime_s),
        acquire_timeout_s=table.duration("acquire_timeout_s", _TARGET.acquire_timeout_s, most=3600),
        enforcement=table.choice("enforcement", _TARGET.enforcement, ("rewrite", "native", "both")),
        setting_key=_read_key(table, "setting_key"),
        mask_key=_decoded(_read_key(table, "mask_key")),
        lanes=table.boolean("lanes", _TARGET.lanes),
    )
    if target.min_backends > target.max_backends:
        message = f"{target.min_backends} is more than max_backends = {target.max_backends}"
        table.problem("min_backends", message, "A pool cannot keep more connections than all pools may have.")
    if target.native and target.setting_key is None:
        message = "is missing: whoever can run SET on a connection to the target can name another tenant"
        table.warn("setting_key", message, "Set setting_key_file to a file of 32 random bytes or more, as text.")
    if target.ca_file is not None:
        check_authorities(table, "ca_file", target.ca_file)
        if not target.tls.startswith("verify-"):
            table.warn("ca_file", f"is not used with tls = {target.tls}", 'Set tls = "verify-full".')
    if target.tls in ("disable", "prefer") and not _is_local(target.host):
        table.warn("tls", f"{target.tls} lets anyone on the way read the password", 'Set tls = "verify-full".')
    table.finish()
    return target


def _decoded(key: bytes | None) -> str | None:
    return None if key is None else key.decode()


def _read_key(table: Table, name: str) -> bytes | None:
    secret = table.secret(name)
    if secret is None:
        return None
    if len(secret.encode()) < MIN_KEY_BYTES:
        table.problem(name, f"is shorter than {MIN_KEY_BYTES} bytes", "Make one: openssl rand -hex 32")
    return secret.encode()


def _read_audit(table: Table) -> AuditConfig:
    default = AuditConfig()
    audit = AuditConfig(
        path=table.file_path("path", default.path) or default.path,
        fsync=table.boolean("fsync", default.fsync),
        flush_interval_s=table.duration("flush_interval_s", default.flush_interval_s, most=60),
        max_queue=table.integer("max_queue", default.max_queue, 1, 100_000_000),
        level=table.choice("level", default.level, AUDIT_LEVELS),
        parameters=table.choice("parameters", default.parameters, PARAMETER_MODES),
        hashed_columns=table.strings("hashed_columns", default.hashed_columns),
        hashed_tags=table.strings("hashed_tags", default.hashed_tags),
        parameter_key=table.secret("parameter_key"),
        sinks=read_sinks(table),
        watch=read_watch(table),
        on_failure=table.choice("on_failure", default.on_failure, ("deny", "spill", "block")),
        spill_directory=table.file_path("spill_directory"),
        spill_key=table.secret("spill_key"),
        spill_max_bytes=table.size("spill_max_bytes", default.spill_max_bytes, 64 * 1024, 2**44),
        block_s=table.duration("block_s", default.block_s, most=3600),
        acknowledge=table.choice("acknowledge", default.acknowledge, ACKNOWLEDGEMENTS),
        signing_key=table.secret("signing_key"),
        seal_events=table.integer("seal_events", default.seal_events, 1, 1_000_000),
        seal_interval_s=table.duration("seal_interval_s", default.seal_interval_s, most=86_400),
        anchor_file=table.file_path("anchor_file"),
        anchor_command=table.strings("anchor_command"),
        conceal=table.choice("conceal", default.conceal, ("off", "tenant", "subject")),
        text_key=table.secret("text_key"),
        key_store=table.file_path("key_store"),
        retention_days=table.integer("retention_days", 0, 1, 36_525) if table.has("retention_days") else None,
        retention_frameworks=table.strings("retention_frameworks"),
        retention_tenants=_read_days(table.table("retention_tenants")),
    )
    _check_spill(table, audit)
    _check_conceal(table, audit)
    if audit.path.is_dir():
        table.problem("path", "is a directory", "Name a file, for example audit/audit.jsonl.")
    if audit.signing_key is not None:
        try:
            SigningKey.from_text(audit.signing_key)
        except UnusableKey as error:
            table.problem("signing_key", f"is {error}", "Make one: tenantgate audit keygen -o seal.key")
    elif audit.anchor_file is not None or audit.anchor_command:
        table.problem("anchor_file", "is given without a signing key", "Set signing_key_file: seals are anchored.")
    for column in audit.hashed_columns:
        if column.count(".") not in (1, 2):
            table.problem("hashed_columns", f"has {column!r}", 'Write "table.column" or "schema.table.column".')
    table.finish()
    return audit


def _read_days(table: Table) -> dict[str, int]:
    """Days by tenant."""
    return {tenant: table.integer(tenant, 1, 1, 36_525) for tenant in table.chosen_keys()}


def _check_conceal(table: Table, audit: AuditConfig) -> None:
    for name in audit.retention_frameworks:
        if name not in RETENTION_DAYS:
            table.problem("retention_frameworks", f"has {name!r}", f"Known: {', '.join(RETENTION_DAYS)}.")
    if audit.conceal == "off":
        return
    if audit.text_key is None:
        table.problem("text_key", "is missing", "Make one: openssl rand -hex 32 > text.key, and text_key_file")
    elif len(audit.text_key.encode()) < MIN_KEY_BYTES:
        table.problem("text_key", f"is shorter than {MIN_KEY_BYTES} bytes", "Make one: openssl rand -hex 32")


def _check_spill(table: Table, audit: AuditConfig) -> None:
    if audit.on_failure != "spill":
        return
    if audit.spill_directory is None:
        hint = "Name a directory that does not fill up together with the log, on another disk for example."
        table.problem("spill_directory", "is missing", hint)
    if audit.spill_key is None:
        table.problem("spill_key", "is missing", "Make one: openssl rand -hex 32 > spill.key, and spill_key_file")
    elif len(audit.spill_key.encode()) < MIN_KEY_BYTES:
        table.problem("spill_key", f"is shorter than {MIN_KEY_BYTES} bytes", "Make one: openssl rand -hex 32")


def _read_log(table: Table) -> LogConfig:
    default = LogConfig()
    log_config = LogConfig(
        level=table.choice("level", default.level, ("debug", "info", "warning", "error")),
        format=table.choice("format", default.format, ("auto", "human", "json")),
    )
    table.finish()
    return log_config


def _read_limits(table: Table) -> LimitsConfig:
    default = LimitsConfig()
    limits = LimitsConfig(
        max_message_bytes=table.size("max_message_bytes", default.max_message_bytes, 64 * 1024),
        max_query_bytes=table.size("max_query_bytes", default.max_query_bytes, 1024),
        max_connections=table.integer("max_connections", default.max_connections, 1, 1_000_000),
        max_prepared=table.integer("max_prepared", default.max_prepared, 1, 1_000_000),
        drain_s=table.duration("drain_s", default.drain_s, least=0),
        stalled_message_s=table.duration("stalled_message_s", default.stalled_message_s),
        write_high_bytes=table.size("write_high_bytes", default.write_high_bytes, 4096),
        plan_cache_bytes=table.size("plan_cache_bytes", default.plan_cache_bytes, 64 * 1024),
    )
    if limits.max_query_bytes > limits.max_message_bytes:
        table.problem("max_query_bytes", "is more than max_message_bytes", "A query is one message.")
    table.finish()
    return limits


def _check_logins(table: Table, listen: ListenConfig, tls: TlsConfig, auth: AuthConfig) -> None:
    """Settings that are each fine but together let nobody in, or let passwords be read on the way."""
    section = table.table("tls")
    if tls.mode == "off" and not auth.plaintext_loopback:
        section.warn("mode", "is off: nobody is asked for a password", "Set TLS up, or auth.plaintext_loopback.")
    if tls.mode != "require" and not _is_local(listen.host):
        section.warn("mode", f"is {tls.mode} and {listen.host} can be reached from outside", 'Set mode = "require".')
    if auth.certificates and not section.has("client_ca"):
        section.warn("client_ca", "is missing: auth.certificates have no effect", "Name the CA of the certificates.")


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.startswith("/")
