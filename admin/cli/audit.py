"""`tenantgate audit verify|tail|head`: check an audit log, watch it, note its head. Reads files only.

Its other commands stand in audit_*.py beside this.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from datetime import datetime
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TextIO

from admin.cli.audit_prove import read_public_key
from admin.cli.options import add_command
from proxy.audit.chain import MAX_LINE_BYTES
from proxy.audit.errors import MalformedLine

if TYPE_CHECKING:
    from proxy.audit.seal_check import SealReport
    from proxy.audit.verify import Problem, VerifyResult

EXIT_OK, EXIT_TAMPERED, EXIT_UNUSABLE = 0, 1, 2

_POLL_S = 0.2
_BLOCK_BYTES = 64 * 1024
_WIDTH = 160
_HASH = re.compile(r"[0-9a-f]{64}")
_COLOURS = {"ok": "32", "refused": "1;31", "error": "33", "cancelled": "35", "lost": "35"}
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))}

_EPILOG = """\
Reads files only: no gateway has to run. To check seals, give `verify` the public key.

examples:
  tenantgate audit verify audit/audit.jsonl
  tenantgate audit tail -f --tenant acme audit/audit.jsonl
  tenantgate audit head audit/audit.jsonl
  tenantgate audit keygen -o seal.key
  tenantgate audit keygen --after seal.key -o seal-2.key
  tenantgate audit verify --public-key seal.key.pub --anchor seals.jsonl audit/audit.jsonl
  tenantgate audit prove --tenant acme -o proof.json audit/audit.jsonl
  tenantgate audit search --tenant acme --result refused --from 24h
  tenantgate audit replay SESSION

`tenantgate audit COMMAND --help` has more.
"""
_VERIFY_EPILOG = """\
With workers, the file of the configuration names those of the workers, and they are checked, too.
exit status: 0 all is well, 1 tampered with (or cut), 2 a file cannot be read

examples:
  tenantgate audit verify audit/audit.jsonl
  tenantgate audit verify audit.jsonl.2 audit.jsonl.1 audit.jsonl     rotated files, oldest first
  tenantgate audit verify --expect 3f1c...e9 audit/audit.jsonl        a head noted yesterday must still be there
  tenantgate audit verify --public-key seal.key.pub --anchor /mnt/worm/seals.jsonl audit/audit.jsonl
"""
_TAIL_EPILOG = """\
exit status: 0 shown, 2 the file cannot be read

examples:
  tenantgate audit tail -f --tenant acme audit/audit.jsonl
  tenantgate audit tail -n 1000 --json audit/audit.jsonl | jq .statement
"""
_HEAD_EPILOG = """\
A chain cannot show by itself that lines were cut off its end, or that all of it was computed anew. Note the head
where one who can write the log cannot reach, and give its hash to `verify --expect` (or --expect-last) later.
exit status: 0 shown, 1 the last line is not as it was written, 2 the file cannot be read

example:
  tenantgate audit head audit/audit.jsonl
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `audit` with its own subcommands; each sets `run`."""
    audit = add_command(subparsers, "audit", "verify and watch audit logs", _EPILOG)
    commands = audit.add_subparsers(metavar="COMMAND", required=True)
    _add_verify(commands)
    _add_tail(commands)
    _add_head(commands)
    for name in ("audit_prove", "audit_search", "audit_replay", "audit_forward", "audit_retention", "audit_watch"):
        import_module(f"admin.cli.{name}").add_parser(commands)


def _add_verify(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = add_command(commands, "verify", "find changed, missing, moved or added lines", _VERIFY_EPILOG)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="audit log; several of one chain in order")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    parser.add_argument("--expect-last", type=_hash, metavar="HASH", help="the last line must have this hash")
    parser.add_argument("--expect", type=_hash, metavar="HASH", help="some line must have this hash")
    parser.add_argument("--public-key", type=read_public_key, metavar="KEY", help=_KEY_HELP)
    parser.add_argument("--anchor", type=Path, metavar="SEALS", help="every seal in this file must be in the log")
    parser.add_argument("--jobs", type=_count, default=os.cpu_count() or 1, metavar="N", help="processes (one per CPU)")
    parser.set_defaults(run=run_verify)


_KEY_HELP = "public key, or the first of those that sealed the log: PEM file or hex digits"


def _add_tail(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = add_command(commands, "tail", "show the last events, one per line", _TAIL_EPILOG)
    parser.add_argument("file", type=Path, metavar="FILE", help="audit log")
    parser.add_argument("-f", "--follow", action="store_true", help="wait for more, also across rotation")
    parser.add_argument("-n", "--lines", type=_count, default=10, metavar="N", help="how many to begin with (10)")
    parser.add_argument("--tenant", metavar="T", help="events of this tenant only")
    parser.add_argument("--json", action="store_true", help="print the events as JSON lines")
    parser.set_defaults(run=run_tail)


def _add_head(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = add_command(commands, "head", "print the last line's number and hash, to note elsewhere", _HEAD_EPILOG)
    parser.add_argument("file", type=Path, metavar="FILE", help="audit log")
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    parser.set_defaults(run=run_head)


def _hash(text: str) -> str:
    if not _HASH.fullmatch(text.lower()):
        raise argparse.ArgumentTypeError("a hash has 64 hex digits (see: tenantgate audit head)")
    return text.lower()


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError("a number from 0 on")
    return int(text)


# -- verify and head


def run_verify(args: argparse.Namespace) -> int:
    """Check the files; 0 well, 1 tampered with, 2 unreadable."""
    from proxy.audit.parallel_verify import ParallelReader
    from proxy.audit.seal_check import read_anchored
    from proxy.audit.verify import with_anchor
    from proxy.audit.worker_logs import verify_with_workers

    show_progress = sys.stderr.isatty() and not args.json
    try:
        anchored = [] if args.anchor is None else read_anchored(args.anchor)
        with ParallelReader(args.jobs) if args.jobs > 1 else nullcontext() as read:
            result, workers = verify_with_workers(
                args.files,
                _show_progress if show_progress else None,
                expect_last=args.expect_last,
                expect=args.expect,
                trusted=args.public_key,
                read=read,
            )
        result = with_anchor(result, args.files[-1], anchored)
        workers = [(path, with_anchor(log, path, anchored)) for path, log in workers]
    except MalformedLine as error:
        print(f"tenantgate: {error}", file=sys.stderr)
        return EXIT_UNUSABLE
    except OSError as error:
        return _unusable(error)
    finally:
        if show_progress:
            print("\r\x1b[K", end="", file=sys.stderr)
    if args.json:
        logs = [{"file": str(path), **_as_json(log)} for path, log in workers]
        print(json.dumps({**_as_json(result), "workers": logs}))
    else:
        print(_as_text(result))
        for path, log in workers:
            print(f"{path.name}: {_as_text(log)}")
    return EXIT_OK if all(log.ok for log in (result, *(log for _, log in workers))) else EXIT_TAMPERED


def run_head(args: argparse.Namespace) -> int:
    """Print the last line's seq and hash; 1 if that line is not as it was written."""
    from proxy.audit.verify import read_head

    try:
        head = read_head(args.file)
    except OSError as error:
        return _unusable(error)
    except MalformedLine as error:
        print(f"tenantgate: {args.file}: {error}", file=sys.stderr)
        return EXIT_TAMPERED
    print(json.dumps({"seq": head.seq, "hash": head.hash}) if args.json else f"{head.seq} {head.hash}")
    return EXIT_OK


def _show_progress(done: int, total: int) -> None:
    percent = 100 * done // max(total, 1)
    print(f"\rverifying: {done / 1e6:,.0f} of {total / 1e6:,.0f} MB, {percent}%", end="", file=sys.stderr, flush=True)


def _as_text(result: VerifyResult) -> str:
    if result.first_problem is None:
        good = f"ok: {result.events} lines of chain {result.chain}, head {result.head.seq} {result.head.hash}"
        return f"{good}\n{_seals_as_text(result.seals)}" if result.seals.segments else good
    problem = result.first_problem
    return (
        f"TAMPERED: {problem.path}, line {problem.line}: {problem.kind}: {problem.text}\n"
        f"{result.events} line(s) before it are good."
    )


def _seals_as_text(seals: SealReport) -> str:
    made = datetime.fromtimestamp(seals.time).astimezone().isoformat(" ", "seconds")
    said = "" if seals.trusted else " (believed: no --public-key)"
    return (
        f"sealed: {seals.segments} segments up to line {seals.until.seq}, {made}, by key {', '.join(seals.keys)}{said}"
        + (f"; {seals.unsealed} line(s) behind it" if seals.unsealed > 1 else "")
    )


def _as_json(result: VerifyResult) -> dict[str, object]:
    return {
        "ok": result.ok,
        "events": result.events,
        "chain": result.chain,
        "head": {"seq": result.head.seq, "hash": result.head.hash},
        "seals": {
            "segments": result.seals.segments,
            "until": result.seals.until.seq,
            "time": result.seals.time,
            "unsealed": result.seals.unsealed,
            "keys": list(result.seals.keys),
            "trusted": result.seals.trusted,
        },
        "first_problem": _problem_as_json(result.first_problem),
    }


def _problem_as_json(problem: Problem | None) -> dict[str, object] | None:
    if problem is None:
        return None
    return {"file": str(problem.path), "line": problem.line, "kind": problem.kind, "text": problem.text}


def _unusable(error: OSError) -> int:
    where = f"{error.filename}: " if error.filename else ""
    print(f"tenantgate: {where}{error.strerror or error}", file=sys.stderr)
    return EXIT_UNUSABLE


# -- tail


def run_tail(args: argparse.Namespace) -> int:
    """Print events; with --follow until interrupted."""
    show = EventPrinter(sys.stdout, tenant=args.tenant, as_json=args.json)
    try:
        with args.file.open("rb") as file:
            for line in _last_lines(file, args.lines, show):
                show.line(line)
            sys.stdout.flush()
            if not args.follow:
                return EXIT_OK
            position = file.tell()
        for line in follow(args.file, position):
            show.line(line)
            sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        return _unusable(error)
    except KeyboardInterrupt:
        pass
    return EXIT_OK


class EventPrinter:
    """Writes events for people (coloured on a terminal) or as JSON lines; keeps to one tenant if told to."""

    def __init__(self, out: TextIO, *, tenant: str | None, as_json: bool) -> None:
        self._out = out
        self._tenant = tenant
        self._as_json = as_json
        terminal = out.isatty()
        self._width = shutil.get_terminal_size((_WIDTH, 24)).columns if terminal else None
        self._colour = terminal and "NO_COLOR" not in os.environ

    def wants(self, line: bytes) -> bool:
        """True for events of the tenant; all, when none was named."""
        return self._tenant is None or _parse(line).get("tenant") == self._tenant

    def line(self, line: bytes) -> None:
        """Print one line of the log if it is wanted."""
        if not self.wants(line):
            return
        if self._as_json:
            # ASCII: what a client wrote must not steer the terminal.
            self._out.write(json.dumps(_parse(line), separators=(",", ":")) + "\n")
        else:
            self._out.write(self.for_people(_parse(line)) + "\n")

    def for_people(self, event: Mapping[str, object]) -> str:
        """One line about an event, cut to the terminal's width."""
        outcome = _text(event, "outcome")
        head = " ".join(
            (
                _clock(event.get("time")),
                f"{_text(event, 'tenant') or '-':<12}",
                f"{_text(event, 'subject') or '-':<12}",
                f"{_text(event, 'event') if outcome in ('', 'ok') else outcome:<10}",
            )
        )
        text = f"{head} {_details(event)}".rstrip().translate(_CONTROLS)
        if self._width is not None and len(text) > self._width:
            text = text[: max(self._width - 1, 1)] + "…"
        return f"\x1b[{_COLOURS.get(outcome, '2')}m{text}\x1b[0m" if self._colour else text


def _details(event: Mapping[str, object]) -> str:
    """What matters of an event: numbers and statement, or the reason of a refusal, or a chain line's fields."""
    if "statement" not in event:
        known = ("event", "time", "seq", "prev", "hash")
        return " ".join(f"{name}={value}" for name, value in event.items() if name not in known)
    parts = []
    if event.get("event") == "statement":
        parts.append(f"{event.get('rows', 0)} rows {_milliseconds(event.get('duration_us'))}")
    if event.get("sqlstate"):
        parts.append(_text(event, "sqlstate"))
    if event.get("reason"):
        parts.append(f"({_text(event, 'reason')})")
    parts.append(" ".join(_text(event, "statement").split()))
    return " ".join(parts)


def _parse(line: bytes) -> Mapping[str, object]:
    try:
        event = json.loads(line)
    except ValueError:
        event = None
    return event if isinstance(event, dict) else {"event": "malformed", "line": line.decode("utf-8", "replace")}


def _text(event: Mapping[str, object], name: str) -> str:
    return str(event.get(name, ""))


def _clock(value: object) -> str:
    if not isinstance(value, int | float) or not 0 <= value < 1e11:
        return "-" * 23
    return datetime.fromtimestamp(value).isoformat(" ", "milliseconds")


def _milliseconds(value: object) -> str:
    return f"{value / 1000:.1f} ms" if isinstance(value, int) else ""


def _last_lines(file: BinaryIO, count: int, show: EventPrinter) -> list[bytes]:
    """The last `count` whole wanted lines; leaves the file behind the last whole line."""
    size = file.seek(0, os.SEEK_END)
    lines = _lines_backwards(file, size)
    torn = next(lines)
    found = list(islice(filter(show.wants, lines), count))
    file.seek(size - len(torn))
    return found[::-1]


def _lines_backwards(file: BinaryIO, position: int) -> Iterator[bytes]:
    """What stands before `position`, last first: what follows the last newline, then the lines."""
    rest = b""
    while position > 0:
        step = min(_BLOCK_BYTES, position)
        position -= step
        file.seek(position)
        rest, *whole = (file.read(step) + rest).split(b"\n")
        yield from reversed(whole)
    yield rest


def follow(path: Path, position: int) -> Iterator[bytes]:
    """Whole lines of `path` from `position` on as they come, going on in the new file after a rotation."""
    file = path.open("rb")
    try:
        file.seek(position)
        rest, finished = b"", False
        while True:
            line = file.readline(MAX_LINE_BYTES)
            if line:
                rest += line
                if rest.endswith(b"\n"):
                    yield rest[:-1]
                    rest = b""
            elif finished:
                file.close()
                file, rest, finished = path.open("rb"), b"", False
            elif _rotated(path, file):
                finished = True  # read once more: the last lines may have come in between
            else:
                time.sleep(_POLL_S)
    finally:
        file.close()


def _rotated(path: Path, file: BinaryIO) -> bool:
    """True when the gateway writes to a new file: it has a header by then, and the old one gets no more."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return False
    return status.st_size > 0 and not os.path.samestat(status, os.fstat(file.fileno()))
