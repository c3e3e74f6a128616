"""Fixture plugins, one concern each; a test module imports none of them."""

from __future__ import annotations

pytest_plugins = ["tests.fix_postgres", "tests.fix_gateway"]
