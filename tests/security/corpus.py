"""The isolation corpus as modules: where it is, its cases, and its own runners.

The corpus lives outside the repository (`TENANTGATE_CORPUS`, else ../shared/corpus) and is not changed by us. Its
runners are scripts; they are loaded from their source so that none of their `main()`s runs.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from tests.harness.missing import in_ci

Case = dict[str, Any]
PROJECT = Path(__file__).resolve().parents[2]
MARKER = r"(GLOBEX|CONFUSABLE|ORPHAN)-SECRET"


def locate() -> Path | None:
    """The corpus's directory, or None."""
    named = os.environ.get("TENANTGATE_CORPUS")
    path = Path(named) if named else PROJECT.parent / "shared" / "corpus"
    return path if (path / "attacks.yaml").is_file() else None


def require() -> Path:
    """The corpus's directory; without it the test fails in CI and is skipped elsewhere."""
    path = locate()
    if path is not None:
        return path
    reason = "the isolation corpus is not here: set TENANTGATE_CORPUS, or put it in ../shared/corpus"
    if in_ci():
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@cache
def attack_cases() -> tuple[Case, ...]:
    """All SQL and protocol attacks; the JWT ones have tests of their own. Empty without a corpus."""
    return tuple(case for case in _cases("attacks.yaml") if case["channel"] != "jwt")


@cache
def correctness_cases() -> tuple[Case, ...]:
    return _cases("correctness.yaml")


def tenancy() -> dict[str, Any]:
    """`fixture_tenancy.yaml`: how the fixture's relations are to be classified."""
    loaded: dict[str, Any] = _load(require() / "fixture_tenancy.yaml")
    return loaded


@cache
def runner() -> ModuleType:
    return _module("runner")


@cache
def correctness() -> ModuleType:
    return _module("correctness")


def _cases(name: str) -> tuple[Case, ...]:
    path = locate()
    return () if path is None else tuple(_load(path / name)["cases"])


def _load(path: Path) -> Any:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load(path.read_text(encoding="utf-8"), Loader=loader)


def _module(name: str) -> ModuleType:
    """Load a script of the corpus under its own name, without the call of `main()` at its end."""
    directory = require()
    if str(directory) not in sys.path:
        sys.path.append(str(directory))
    path = directory / f"{name}.py"
    source = path.read_text(encoding="utf-8").rstrip().removesuffix("\nmain()")
    module = ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module
    exec(compile(source, str(path), "exec"), module.__dict__)
    return module
