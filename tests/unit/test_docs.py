"""What the documents claim and a test can see."""

from __future__ import annotations

import contextlib
import io
import re
from functools import cache
from pathlib import Path

import pytest

from admin.cli.main import _COMMANDS, build_parser

ROOT = Path(__file__).parents[2]
_INNER = {
    "store": ("upgrade", "status", "log"),
    "audit": (
        "verify",
        "tail",
        "head",
        "search",
        "index",
        "replay",
        "forward",
        "retention",
        "hold",
        "shred",
        "prove",
        "keygen",
        "watch",
    ),
    "compliance": ("report", "verify"),
}


def documents() -> list[Path]:
    return [ROOT / "README.md", ROOT / "benchmarks" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_within_the_repository_lead_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)|src=\"([^\":]+)\"", document.read_text())
    missing = [a or b for a, b in targets if not (document.parent / (a or b)).exists()]
    assert missing == []


def test_make_targets_of_the_readme_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    named = set(re.findall(r"(?:^|`)make ([a-z]+)", (ROOT / "README.md").read_text(), re.M))
    assert named
    assert {target for target in named if not re.search(rf"^{target}:", makefile, re.M)} == set()


def test_decisions_have_each_a_number_of_their_own_and_say_it() -> None:
    files = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    numbers = [int(path.name[:4]) for path in files]
    assert numbers == list(range(1, len(numbers) + 1))
    for number, path in zip(numbers, files, strict=True):
        assert path.read_text().startswith(f"# {number}. ")


def test_commands_of_the_documents_exist() -> None:
    """Every `tenantgate COMMAND` is one, and its options are in that command's help."""
    known = {name.replace("_", "-") for name in _COMMANDS}
    found = [
        (command, option)
        for document in documents()
        for command, rest in re.findall(r"tenantgate ([a-z][a-z-]+)([^`\n\"|]*)", document.read_text())
        if command in known
        for option in (*re.findall(r" (--[a-z-]+)", rest.partition("#")[0]), "")
    ]
    assert len(found) > 10
    for command, option in found:
        assert option in _help(command), (command, option)


@cache
def _help(command: str) -> str:
    """What `--help` prints of a command and of its own commands."""
    said = io.StringIO()
    for inner in ([], *([name] for name in _INNER.get(command, ()))):
        with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
            build_parser().parse_args([command, *inner, "--help"])
    return said.getvalue()
