"""pg_dump of a place, for what an export does not know how to write: functions, triggers, types, partitions …"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from admin.places.errors import PlaceFailed
from admin.places.place import Place
from admin.places.server import Login
from admin.provision.steps import ident
from policy import second_lock

_MOST_TOLD = 300  # characters of its complaint

Dump = Callable[[Place, str, Path], Awaitable[None]]
"""A place, the name of an exported snapshot, and the file to write. Raises DumpFailed."""


class DumpFailed(PlaceFailed):
    """It is of an older version than the server, or could not read all of it. Nothing was changed."""

    kind = "dump"


@dataclass(frozen=True, slots=True)
class PgDump:
    """program: its path; login: an administrator's of the server. Its password is in the program's environment only."""

    program: str
    login: Login

    async def dump(self, place: Place, snapshot: str, file: Path) -> None:
        """Write all of it, definitions and rows, as the snapshot sees it, loadable by anybody. Raises DumpFailed."""
        what = [f"--schema={ident(place.schema)}"] if place.schema else [f"--exclude-schema={second_lock.SCHEMA}"]
        try:
            process = await asyncio.create_subprocess_exec(
                self.program, "--no-password", "--no-owner", "--no-privileges", "--lock-wait-timeout=10s",
                f"--snapshot={snapshot}", f"--file={file}", *what,
                env=self._environment(place.database), stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
            )  # fmt: skip
        except OSError as error:
            raise DumpFailed(f"{self.program} cannot be run: {error.strerror}") from None
        try:
            _, said = await process.communicate()
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
        if process.returncode:
            raise DumpFailed(" ".join(said.decode(errors="replace").split())[:_MOST_TOLD])

    def _environment(self, database: str) -> dict[str, str]:
        login = self.login
        found = {
            "PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "PGHOST": login.host, "PGPORT": str(login.port),
            "PGUSER": login.user, "PGPASSWORD": login.password, "PGDATABASE": database, "PGSSLMODE": login.tls,
            "PGAPPNAME": "tenantgate admin", "PGCONNECT_TIMEOUT": str(max(2, round(login.connect_timeout_s))),
        }  # fmt: skip
        if login.ca_file is not None:
            found["PGSSLROOTCERT"] = str(login.ca_file)
        return found
