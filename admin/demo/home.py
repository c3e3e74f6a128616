"""The directory `.demo`: where everything of the demo is kept, and whether the data in it are whole."""

from __future__ import annotations

import contextlib
import fcntl
import json
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from admin.demo.dataset import DATASET_VERSION
from admin.demo.embedded import EmbeddedError, Runner
from admin.demo.keys import write_private


@dataclass(frozen=True, slots=True)
class State:
    """What a finished load leaves behind. Written last, so that an interrupted one has none."""

    dataset: int
    server: str
    superuser_password: str = field(repr=False)
    gateway_password: str = field(repr=False)


def from_here(path: Path) -> Path:
    """The path as a user in the current directory writes it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def new_state(server: str) -> State:
    """Return the state of a load that is about to begin, with fresh passwords."""
    return State(DATASET_VERSION, server, secrets.token_urlsafe(24), secrets.token_urlsafe(24))


@dataclass(frozen=True, slots=True)
class Home:
    """Paths below one directory; `locked()` keeps two demos from using it at the same time."""

    root: Path

    @property
    def cluster(self) -> Path:
        return self.root / "postgres"

    @property
    def config(self) -> Path:
        return self.root / "tenantgate.toml"

    @property
    def policy(self) -> Path:
        return self.root / "policy.yaml"

    @property
    def store(self) -> Path:
        """The policy in force, as the gateway and the admin API have it."""
        return self.root / "store.db"

    @property
    def admin_log(self) -> Path:
        return self.root / "admin.log"

    @property
    def exports(self) -> Path:
        return self.root / "exports"

    @property
    def account_password(self) -> Path:
        return self.keys / "admin-api.password"

    @property
    def superuser_password(self) -> Path:
        return self.keys / "superuser.password"

    @property
    def audit(self) -> Path:
        return self.root / "audit" / "audit.jsonl"

    @property
    def gateway_log(self) -> Path:
        return self.root / "gateway.log"

    @property
    def keys(self) -> Path:
        return self.root / "keys"

    @property
    def certificate(self) -> Path:
        return self.keys / "server.crt"

    @property
    def certificate_key(self) -> Path:
        return self.keys / "server.key"

    @property
    def target_password(self) -> Path:
        return self.keys / "target.password"

    @property
    def signing_key(self) -> Path:
        return self.keys / "signing.pem"

    @property
    def public_key(self) -> Path:
        return self.keys / "signing.pub.pem"

    @property
    def seal_key(self) -> Path:
        return self.keys / "seal.key"

    @property
    def seal_public_key(self) -> Path:
        return self.keys / "seal.key.pub"

    @property
    def tokens(self) -> Path:
        return self.root / "tokens"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Make the directory and hold its lock; raise EmbeddedError when another demo has it."""
        for directory in (self.root, self.keys, self.tokens, self.audit.parent):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self.root / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise EmbeddedError(f"another demo is running in {self.root}: stop it, or give --dir") from None
            yield

    def read_state(self) -> State | None:
        """Return what the last finished load left, None when there is none or it cannot be read."""
        with contextlib.suppress(OSError, ValueError, TypeError):
            return State(**json.loads((self.root / "state.json").read_text()))
        return None

    def write_state(self, state: State) -> None:
        content = {name: getattr(state, name) for name in State.__slots__}
        write_private(self.root / "state.json", json.dumps(content).encode())

    def clear_cluster(self, runner: Runner) -> None:
        """Remove the data and prepare an empty place for new ones.

        A server that runs as another user cannot enter our private directory: its place is outside.
        """
        (self.root / "state.json").unlink(missing_ok=True)
        for path in self.root.glob("store.*"):
            path.unlink()
        if self.cluster.is_symlink():
            shutil.rmtree(self.cluster.resolve().parent, ignore_errors=True)
            self.cluster.unlink()
        elif self.cluster.exists():
            shutil.rmtree(self.cluster)
        if runner.user is not None:
            outside = Path(tempfile.mkdtemp(prefix="tenantgate-demo-", dir="/var/tmp"))
            outside.chmod(0o755)  # its content is 0700 and the server's own
            self.cluster.symlink_to(outside / "data")
