"""Fixture plugins, one concern each; a test module imports none of them."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

# What this machine's user set for libpq, and the language of psql's messages, are no part of any test.
for _name in [name for name in os.environ if name.startswith("PG") or name in ("LANG", "LANGUAGE")]:
    del os.environ[_name]
os.environ["LC_ALL"] = "C.UTF-8"

pytest_plugins = [
    "tests.fix_postgres",
    "tests.fix_gateway",
    "tests.fix_places",
    "tests.security.score",
    "tests.second_try",
]

# How long an example takes says how busy the machine is, not whether the code is right. In CI Hypothesis has it so.
if settings.get_current_profile_name() != "ci":
    settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("unhurried")

# Files that take minutes, the longest first: begun last they would keep one process busy while the other has nothing.
_LONG = ("test_gateway_corpus_full.py", "test_compiled.py", "test_compile_corpus.py", "test_gateway_corpus.py")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _LONG.index(item.path.name) if item.path.name in _LONG else len(_LONG))
