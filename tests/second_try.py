"""A test that starts servers and failed is run once more, and both runs are told (decision 49).

On a shared machine a process can stand still for a second at any point. What fails twice fails. Tests of isolation
(tests/security) and tests without servers (tests/unit) get no second try.
"""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "integration" in item.path.parts:
            item.add_marker(pytest.mark.flaky(reruns=1))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = terminalreporter.stats.get("rerun", [])
    if reports:
        terminalreporter.section(f"{len(reports)} failed and were run once more: how they failed")
    for report in reports:
        terminalreporter.section(report.nodeid, sep="-")
        terminalreporter.write_line(report.longreprtext)
