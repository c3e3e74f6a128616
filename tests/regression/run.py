"""`make regression`: PostgreSQL's own regression files through the gateway, beside a direct run of the same.

Each file runs three times (stage.py says where): directly, through the gateway, and directly again without what
the gateway refused. The first tells which refusals matter, the last two must print the same, statement by statement.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from admin.demo.embedded import EmbeddedError
from tests.harness.postgres import MissingServer, PostgresServer
from tests.regression.compare import Outcome, compare
from tests.regression.psql import Answer, Hung, run_pieces
from tests.regression.report import print_summary
from tests.regression.script import Piece, cut
from tests.regression.sources import NoSources, regression_files
from tests.regression.stage import FLAVOURS, OWNER, Stage, Way, environment, open_stage

KEPT = Path(".regression")
FIRST = "test_setup"  # run by a superuser on each server: it loads files of the server's
# What later files rely on; run directly on each server when only some files are asked for.
NEEDED = (
    "create_misc", "create_operator", "create_table", "create_type", "create_index", "create_view", "create_aggregate",
    "create_function_sql",
)  # fmt: skip
_OBJECT_MISSING = frozenset({"42P01", "42883", "42704", "3F000", "42703"})
_VARIABLE = re.compile(r"(?<!:):['\"{]?\w")  # of psql


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    try:
        flavour, version = _server(options.server)
        files = options.sources or regression_files(version, KEPT.resolve())
    except NoSources as error:
        print(f"make regression: {error}", file=sys.stderr)
        return 2
    scheduled = _scheduled(files)
    unknown = set(options.files) - set(scheduled)
    if unknown:
        print(f"make regression: no such file: {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    wanted = [name for name in scheduled if not options.files or name in options.files]
    print(f"PostgreSQL {version} ({flavour}), {len(wanted)} files of {files}, isolation {options.isolation}")
    results = KEPT.resolve() / "results"
    results.mkdir(parents=True, exist_ok=True)
    outcomes: list[Outcome] = []
    with open_stage(flavour, options.isolation) as stage:
        runner = _Runner(stage, files, results)
        runner.set_up(() if not options.files else [name for name in NEEDED if name not in wanted])
        for name in wanted:
            begun = time.monotonic()
            found = runner.run(name)
            (results / f"{name}.json").write_text(json.dumps([o.as_json() for o in found], indent=1))
            outcomes += found
            print(_line(name, found, time.monotonic() - begun), flush=True)
    print_summary(outcomes)
    return 0


class _Runner:
    """Runs files on the three ways of a stage."""

    def __init__(self, stage: Stage, files: Path, results: Path) -> None:
        self._stage = stage
        self._files = files
        self._results = results
        self._read = 0  # of the audit log, in bytes

    def set_up(self, needed: Sequence[str]) -> None:
        for way in self._stage.direct.values():
            way.server.execute(f"ALTER ROLE {OWNER} SUPERUSER")
            self._directly(FIRST, way)
            way.server.execute(f"ALTER ROLE {OWNER} NOSUPERUSER")
            for name in needed:
                self._directly(name, way)

    def _directly(self, name: str, way: Way) -> None:
        run_pieces(self._pieces(name), way.conninfo, self._environment(name))

    def run(self, name: str) -> list[Outcome]:
        pieces = self._pieces(name)
        plain = self._run(pieces, self._stage.direct["plain"], name)
        tenant = self._run(pieces, self._stage.tenant, name)
        refusals = self._refusals(name, pieces, tenant)
        hard = frozenset(
            number
            for number, (state, _) in refusals.items()
            if state not in _OBJECT_MISSING and plain[number] != tenant[number]  # PostgreSQL has the same error
        )
        twin = self._run(pieces, self._stage.direct["twin"], name, hard)
        return compare(name, pieces, plain, tenant, twin, refusals)

    def _run(
        self, pieces: Sequence[Piece], way: Way, name: str, left_out: frozenset[int] = frozenset()
    ) -> list[Answer | None]:
        try:
            return run_pieces(pieces, way.conninfo, self._environment(name), left_out)
        except Hung as error:
            print(f"{name}: hung on {way.name}: {error}", flush=True)
            return [None] * len(pieces)

    def _refusals(
        self, name: str, pieces: Sequence[Piece], answers: Sequence[Answer | None]
    ) -> dict[int, tuple[str, str]]:
        """By piece: SQLSTATE and reason of the refusals that the audit log has for it, in its order."""
        refused = self._refused_events(self._environment(name)["PGAPPNAME"])
        found: dict[int, tuple[str, str]] = {}
        next_event = 0
        for number, piece in enumerate(pieces):
            answer = answers[number]
            if answer is None or (not answer.failed and "ERROR:" not in answer.text):
                continue
            for index in range(next_event, len(refused)):
                event = refused[index]
                if event["sqlstate"] == answer.sqlstate and _same(piece, event["statement"]):
                    found[number] = (event["sqlstate"], event["reason"])
                    next_event = index + 1
                    break
        return found

    def _refused_events(self, application: str) -> list[dict[str, Any]]:
        """Those of the audit log since the last call. The session's logout ends them; it is written a bit later."""
        events: list[dict[str, Any]] = []
        deadline = time.monotonic() + 10
        while not any(e["event"] == "logout" for e in events) and time.monotonic() < deadline:
            time.sleep(0.05)
            with self._stage.gateway.audit_path.open("rb") as log:
                log.seek(self._read)
                whole = [line for line in log.readlines() if line.endswith(b"\n")]
            self._read += sum(map(len, whole))
            events += [e for e in map(json.loads, whole) if e.get("application") == application]
        return [e for e in events if e["event"] == "statement" and e["outcome"] == "refused"]

    def _pieces(self, name: str) -> list[Piece]:
        return list(cut((self._files / "sql" / f"{name}.sql").read_text(encoding="utf-8", errors="replace")))

    def _environment(self, name: str) -> dict[str, str]:
        return environment(self._files, self._results, f"regression/{name}")


def _line(name: str, found: Sequence[Outcome], seconds: float) -> str:
    refused, different = (sum(o.verdict == verdict for o in found) for verdict in ("refused", "different"))
    return f"{name:24} {len(found):6} pieces {refused:5} refused {different:5} different {seconds:6.1f} s"


def _same(piece: Piece, statement: str) -> bool:
    """Whether an audited text is this piece's: psql puts variables in, and takes comments and what ends it off."""
    ours, theirs = (re.findall(r"\w+", text) for text in (piece.bare, Piece(statement, 0).bare))
    if piece.is_command:  # its own queries
        return False
    words = 2 if _VARIABLE.search(piece.text) else 12
    return ours[:words] == theirs[:words]


def _scheduled(files: Path) -> list[str]:
    lines = (files / "parallel_schedule").read_text().splitlines()
    names = [name for line in lines if line.startswith("test:") for name in line.removeprefix("test:").split()]
    return [name for name in names if name != FIRST and (files / "sql" / f"{name}.sql").exists()]


def _server(chosen: str | None) -> tuple[str, str]:
    """The flavour that runs here, and its version."""
    for flavour in FLAVOURS if chosen is None else (chosen,):
        try:
            return flavour, PostgresServer(flavour).version
        except (MissingServer, EmbeddedError):
            continue
    raise NoSources("no PostgreSQL server on this machine: apt-get install postgresql-15, or make venv")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make regression", description=__doc__)
    parser.add_argument("files", nargs="*", help="names of regression files, as in 'select join'; all when none")
    parser.add_argument("--sources", type=Path, help="a directory src/test/regress that is here already")
    parser.add_argument("--server", choices=FLAVOURS, help="which PostgreSQL (default: the first that is here)")
    parser.add_argument("--isolation", choices=("database", "schema"), default="database")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
