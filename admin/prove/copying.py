"""Copy a database on its server: file by file where nobody is connected to it, else by pg_dump and pg_restore."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Any

from admin.demo.embedded import system_binaries, wheel_binaries
from policy.errors import TenantGateError
from proxy.config import TargetConfig
from proxy.postgres.backend import BackendConnection
from proxy.postgres.backend_errors import BackendQueryError

COPY_TIMEOUT_S = 3600.0
_IN_USE = "55006"
_PRIVILEGES = "The administrator needs CREATEDB and superuser."


class CopyError(TenantGateError):
    """The database cannot be copied."""

    kind = "prove"


async def copy_database(root: BackendConnection, admin: TargetConfig, source: str, name: str) -> None:
    """Make database `name` from `source`; root: a connection to another database. Raises CopyError."""
    try:  # the server waits some seconds for connections that are closing
        await _to_its_end(root.query(f'CREATE DATABASE "{name}" TEMPLATE "{source}"', timeout_s=COPY_TIMEOUT_S))
        return
    except BackendQueryError as error:
        if error.sqlstate != _IN_USE:
            raise CopyError(f"cannot copy database {source}: {error.message}", hint=_PRIVILEGES) from None
    version = int((await root.query("SHOW server_version_num"))[0][0] or 0) // 10_000
    programs = _programs(version)
    if programs is None:
        raise CopyError(
            f"database {source} is in use, so it cannot be copied",
            hint=f"Run it on a restored backup or a copy; or install pg_dump and pg_restore of PostgreSQL {version}.",
        )
    await _to_its_end(root.query(f'CREATE DATABASE "{name}" TEMPLATE template0'))
    await _dump_and_restore(programs, admin, source, name)


async def _to_its_end(query: Coroutine[Any, Any, object]) -> None:
    """Wait for it even when we are cancelled: a database that is being made cannot be dropped."""
    task = asyncio.ensure_future(query)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        with contextlib.suppress(BackendQueryError):
            await task
        raise


def _programs(version: int) -> Path | None:
    """The directory with programs of this major version, else of a newer one."""
    found = [(major, directory) for directory in _directories() if (major := _major(directory)) >= version]
    return min(found, key=lambda pair: pair[0])[1] if found else None


def _directories() -> Iterator[Path]:
    named = shutil.which("pg_dump")
    candidates = [Path(named).resolve().parent if named else None, wheel_binaries(), system_binaries()]
    candidates += [system_binaries(major) for major in range(13, 19)]
    for directory in candidates:
        if directory is not None and (directory / "pg_dump").exists() and (directory / "pg_restore").exists():
            yield directory


def _major(directory: Path) -> int:
    done = subprocess.run([directory / "pg_dump", "--version"], capture_output=True, text=True, check=False)
    match = re.search(r"\) (\d+)", done.stdout)
    return int(match[1]) if match else 0


async def _dump_and_restore(programs: Path, admin: TargetConfig, source: str, name: str) -> None:
    reading, writing = os.pipe()
    where = {"env": {**os.environ, **_login(admin)}, "stderr": asyncio.subprocess.PIPE}
    processes: list[asyncio.subprocess.Process] = []
    try:
        dump = [programs / "pg_dump", "--format=custom", "--compress=0", "--dbname", source]
        restore = [programs / "pg_restore", "--exit-on-error", "--dbname", name]
        processes.append(await asyncio.create_subprocess_exec(*dump, stdout=writing, **where))  # type: ignore[arg-type]
        processes.append(await asyncio.create_subprocess_exec(*restore, stdin=reading, **where))  # type: ignore[arg-type]
        os.close(writing)
        writing = -1
        said = await asyncio.gather(*(process.communicate() for process in processes))
    finally:
        for descriptor in (reading, writing):
            if descriptor >= 0:
                os.close(descriptor)
        for process in processes:
            if process.returncode is None:
                process.kill()
                await process.wait()
    for program, process, (_, errors) in zip(("pg_dump", "pg_restore"), processes, said, strict=True):
        if process.returncode:
            message = errors.decode(errors="replace").strip().splitlines()
            raise CopyError(
                f"database {source} is in use, and {program} failed: {message[-1] if message else ''}", hint=_PRIVILEGES
            )


def _login(admin: TargetConfig) -> Mapping[str, str]:
    login = {
        "PGHOST": admin.host, "PGPORT": str(admin.port), "PGUSER": admin.user, "PGPASSWORD": admin.password,
        "PGSSLMODE": admin.tls, "PGAPPNAME": "tenantgate prove",
    }  # fmt: skip
    return {**login, "PGSSLROOTCERT": str(admin.ca_file)} if admin.ca_file is not None else login
