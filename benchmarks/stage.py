"""The stage of the benchmark: one PostgreSQL, a PgBouncer and a gateway before it, all on loopback, TLS off.

The gateway runs with everything on: a JWT session, a tenant in shared tables (so every statement is rewritten), roles,
quotas, audit.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from admin.demo.embedded import free_port
from tests.harness.gateway import GatewayProcess
from tests.harness.postgres import PostgresServer

POLICY = """
tenants:
  acme: {isolation: shared, target: main, value: acme, quotas: {connections: 1000, concurrent_statements: 1000}}
roles:
  app: {permissions: ["table:*:write", "table:*:copy"]}
tables:
  main:
    public.pgbench_accounts: {tenant_column: tenant_id}
    public.pgbench_tellers: {tenant_column: tenant_id}
    public.pgbench_branches: {tenant_column: tenant_id}
    public.pgbench_history: {tenant_column: tenant_id}
"""
TABLES = ("accounts", "tellers", "branches", "history")


@dataclass(frozen=True, slots=True)
class Way:
    """One way to the database: how pgbench reaches it, and the proxy's process, None for none."""

    name: str
    port: int
    user: str
    database: str
    password: str
    pid: int | None


class Stage:
    """A context: everything is started on entry and gone after exit. `scale`: pgbench's, 100,000 rows each.

    pgbouncer: start those, too. policy: the gateway's; limits: its section of that name; workers: its processes.
    """

    def __init__(
        self,
        scale: int,
        *,
        pgbouncer: bool = True,
        policy: str = POLICY,
        limits: Mapping[str, object] | None = None,
        workers: int = 1,
    ) -> None:
        self.scale = scale
        self._with_pgbouncer = pgbouncer
        self._policy = policy
        self._limits = limits or {}
        self._workers = workers
        self.directory = Path(tempfile.mkdtemp(prefix="tenantgate-bench-"))
        self.postgres = PostgresServer("embedded", settings={"shared_buffers": "512MB", "max_connections": "500"})
        self.pgbouncers: dict[str, subprocess.Popen[bytes]] = {}
        self.gateway: GatewayProcess | None = None
        self.ways: list[Way] = []

    @property
    def pgbench(self) -> Path:
        return Path(self.postgres.bin_dir) / "pgbench"

    def __enter__(self) -> Stage:
        self.directory.chmod(0o755)
        self.postgres.start()
        self._load()
        self.ways = [Way("direct", self.postgres.port, "bench", "bench", "bench", None)]
        if self._with_pgbouncer:
            self.ways += [self._start_pgbouncer("transaction"), self._start_pgbouncer("session")]
        self.ways.append(self._start_gateway())
        return self

    def __exit__(self, *_: object) -> None:
        if self.gateway is not None:
            self.gateway.stop()
        for process in self.pgbouncers.values():
            process.terminate()
            process.wait(10)
        self.postgres.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _load(self) -> None:
        self.postgres.execute("CREATE ROLE bench LOGIN PASSWORD 'bench'")
        self.postgres.create_database("bench")
        environment = os.environ | {"PGPASSWORD": self.postgres.password}
        subprocess.run(
            [self.pgbench, "-i", "-q", "-I", "dtgp", "-s", str(self.scale),
             "-h", "127.0.0.1", "-p", str(self.postgres.port),
             "-U", self.postgres.superuser, "bench"],
            check=True, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        for sql in (
            *(f"ALTER TABLE pgbench_{t} ADD COLUMN tenant_id text NOT NULL DEFAULT 'acme'" for t in TABLES),
            "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO bench",
        ):
            self.postgres.execute(sql, "bench")
        self.postgres.execute("VACUUM ANALYZE", "bench")

    def _start_pgbouncer(self, mode: str) -> Way:
        port, home = free_port(), self.directory / f"pgbouncer-{mode}"
        home.mkdir(mode=0o755)
        (home / "users.txt").write_text('"bench" "bench"\n')
        (home / "pgbouncer.ini").write_text(
            f"[databases]\nbench = host=127.0.0.1 port={self.postgres.port} dbname=bench\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
            f"auth_type = scram-sha-256\nauth_file = {home}/users.txt\npool_mode = {mode}\n"
            "max_client_conn = 1000\ndefault_pool_size = 100\nlog_connections = 0\nlog_disconnections = 0\n"
        )
        command = [shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin") or "pgbouncer", "-q"]
        if os.geteuid() == 0:
            command += ["-u", "nobody"]
        process = subprocess.Popen([*command, home / "pgbouncer.ini"], stderr=subprocess.DEVNULL)
        self.pgbouncers[mode] = process
        time.sleep(0.5)
        if process.poll() is not None:
            raise RuntimeError("pgbouncer did not start")
        return Way(f"pgbouncer-{mode}", port, "bench", "bench", "bench", process.pid)

    def _start_gateway(self) -> Way:
        self.gateway = self.new_gateway(self._policy)
        self.gateway.start()
        return way_to("tenantgate", self.gateway, "acme")

    def new_gateway(self, policy: str) -> GatewayProcess:
        """A gateway to the same tables; whoever asks for it starts and stops it."""
        target: dict[str, object] = {
            "host": "127.0.0.1", "port": self.postgres.port, "database": "bench",
            "user": "bench", "password": "bench", "tls": "disable", "max_backends": 150,
        }  # fmt: skip
        return GatewayProcess(
            targets={"main": target},
            policy=policy,
            settings={
                "": {"workers": self._workers},
                "tls": {"mode": "off"},
                "auth": {"plaintext_loopback": True},
                "limits": self._limits,
            },
        )


def way_to(name: str, gateway: GatewayProcess, tenant: str) -> Way:
    """The way through a gateway that runs, as alice of `tenant`."""
    token = gateway.issuer.token("alice", tenant, ttl_s=86_400)
    return Way(name, gateway.port, "alice", tenant, token, gateway.pid)
