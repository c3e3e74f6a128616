"""PostgreSQL's own regression files, from its source package: fetched once, kept outside of the repository's files.

The version is the server's own, or another release of its major version: by `apt-get source` on Debian (with package
lists of our own, so nothing on the machine changes), else from ftp.postgresql.org.
"""

from __future__ import annotations

import shutil
import subprocess
import tarfile
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

URL = "https://ftp.postgresql.org/pub/source/v{0}/postgresql-{0}.tar.bz2"
_WANTED = "/src/test/regress/"
_REPOSITORIES = (
    "deb-src http://deb.debian.org/debian {0} main\n",
    "deb-src http://deb.debian.org/debian-security {0}-security main\n",
)


class NoSources(Exception):
    """They cannot be had; the message says what to do."""


def regression_files(version: str, kept: Path) -> Path:
    """The directory src/test/regress of this version, below `kept`; fetched when it is not there."""
    if (found := _kept(version, kept)) is not None:
        return found
    kept.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept) as scratch:
        archive = _by_apt(version, Path(scratch)) or _by_http(version, Path(scratch))
        with tarfile.open(archive) as tar:
            tar.extractall(kept, [m for m in tar.getmembers() if _WANTED in m.name], filter="data")
    found = _kept(version, kept)
    if found is None:
        raise NoSources(f"the source package of PostgreSQL {version} has no regression files where they were")
    return found


def _kept(version: str, kept: Path) -> Path | None:
    """Those of this version; else of another release of the same major version, whose files hardly differ."""
    major = version.split(".")[0]
    names = [kept / f"postgresql-{version}", *sorted(kept.glob(f"postgresql-{major}.*"), reverse=True)]
    found = [name / "src" / "test" / "regress" for name in names]
    return next((directory for directory in found if (directory / "parallel_schedule").exists()), None)


def _by_apt(version: str, scratch: Path) -> Path | None:
    """From the distribution, whichever of its repositories still has this very version."""
    codename = _codename()
    if shutil.which("apt-get") is None or codename is None:
        return None
    major = version.split(".")[0]
    for repository in _REPOSITORIES:
        sources = scratch / "sources.list"
        sources.write_text(repository.format(codename))
        for directory in ("lists/partial", "cache/archives/partial"):
            (scratch / directory).mkdir(parents=True, exist_ok=True)
        options = [
            "-qq", "-o", f"Dir::Etc::sourcelist={sources}", "-o", "Dir::Etc::sourceparts=/dev/null",
            "-o", f"Dir::State::lists={scratch}/lists", "-o", f"Dir::Cache={scratch}/cache",
            "-o", "APT::Sandbox::User=root",
        ]  # fmt: skip
        for words in (["update"], ["source", "--download-only", f"postgresql-{major}"]):
            subprocess.run(["apt-get", *options, *words], cwd=scratch, check=False, capture_output=True)
        archive = scratch / f"postgresql-{major}_{version}.orig.tar.bz2"
        if archive.exists():
            return archive
    return next(scratch.glob("*.orig.tar.bz2"), None)


def _codename() -> str | None:
    try:
        lines = Path("/etc/os-release").read_text().splitlines()
    except OSError:
        return None
    values = dict(line.split("=", 1) for line in lines if "=" in line)
    return values.get("VERSION_CODENAME", "").strip('"') or None if values.get("ID") == "debian" else None


def _by_http(version: str, scratch: Path) -> Path:
    archive = scratch / "postgresql.tar.bz2"
    url = URL.format(version)
    try:
        with urllib.request.urlopen(url, timeout=60) as answer, archive.open("wb") as file:
            shutil.copyfileobj(answer, file)
    except (urllib.error.URLError, OSError) as error:
        raise NoSources(
            f"cannot fetch {url} ({error}): is there a network? With the sources of PostgreSQL {version} on this"
            " machine, say where: make regression ARGS='--sources DIRECTORY' (the one that holds parallel_schedule)"
        ) from error
    return archive
