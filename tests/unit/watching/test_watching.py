"""Alerts from real logs: each rule, what a restart changes (nothing), and statements unlike a user's others."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from admin.cli.main import main
from admin.watching.features import DIMENSIONS, GROUPS, vector_of
from admin.watching.rules import Rules, state_as_json, state_from_json
from admin.watching.unusual import MAX_VECTORS, TenantVectors, Unusual
from admin.watching.watcher import Watcher, alerts_path
from proxy.audit.verify import verify_file
from proxy.config import AuditConfig
from proxy.config_watch import WatchConfig
from tests.unit.audit_search.samples import BEGIN, Log, at

DAY_S = 86_400
CONFIG = WatchConfig(
    enabled=True, failed_logins=3, refused_statements=2, window_s=60, personal=("public.patients",), habit_least=100,
    hours="7-20", learning_days=2, canary_relations=("public.honey",), canary_tenants=("trap",),
)  # fmt: skip
NOON = -4 * 3600  # BEGIN is a Monday, 16:00 UTC


def told(rules: Rules, *events: Any) -> list[str]:
    return [alert.rule for event in events for alert in rules.take({**event._asdict(), **_lists(event)})]


def _lists(event: Any) -> dict[str, object]:
    return {"relations": list(event.relations)}


def login(second: float, **members: object) -> Any:
    return at(second, event="login", outcome="refused", relations=(), **members)


def refused(second: float, **members: object) -> Any:
    return at(second, outcome="refused", relations=(), **members)


def read(second: float, rows: int, **members: object) -> Any:
    return at(second, rows=rows, relations=("public.patients",), **members)


def test_logins_refused_in_a_row_are_told_once_and_counted_by_user() -> None:
    rules = Rules(CONFIG)
    assert told(rules, login(0), login(1), login(1, subject="bob"), login(2, tenant="globex")) == []
    assert told(rules, login(59)) == ["failed_logins"]
    assert told(rules, login(60), login(119), login(121)) == []  # two of these three are too far apart
    assert told(Rules(replace(CONFIG, failed_logins=0)), *(login(n) for n in range(9))) == []


def test_refused_statements_of_one_user() -> None:
    assert told(Rules(CONFIG), refused(0), refused(1, subject="bob"), refused(2)) == ["refused_statements"]


def test_canaries_are_told_each_time() -> None:
    rules = Rules(CONFIG)
    touch = at(0, relations=("public.honey", "public.orders"))
    assert told(rules, touch, touch, at(1, tenant="trap", relations=())) == ["canary"] * 3


def test_access_outside_of_hours_is_told_once_a_day() -> None:
    rules = Rules(replace(CONFIG, time_zone="Europe/Berlin"))
    assert told(rules, at(0)) == []  # 17:00 in Berlin
    assert told(rules, at(2.5 * 3600)) == []  # 19:30
    assert told(rules, at(3.1 * 3600), at(3.2 * 3600)) == ["outside_hours"]  # 20:06
    assert told(rules, at(5 * DAY_S + NOON)) == ["outside_hours"]  # Saturday


def test_a_first_use_is_news_after_the_days_of_learning() -> None:
    rules = Rules(CONFIG)
    assert told(rules, at(0, relations=("public.a",)), at(DAY_S + NOON, relations=("public.b",))) == []
    later = 3 * DAY_S + NOON
    assert told(rules, at(later, relations=("public.a",)), at(later, relations=("public.c",))) == ["first_use"]
    assert told(rules, at(later, relations=("public.c",))) == []
    assert told(rules, at(later, relations=("public.d",), outcome="error")) == []


def test_reads_of_personal_data_above_the_habit() -> None:
    rules = Rules(replace(CONFIG, hours="", learning_days=0))
    for day in range(10):
        assert told(rules, read(day * DAY_S, 50)) == []
    assert told(rules, read(10 * DAY_S, 90), read(10 * DAY_S + 1, 100)) == []
    assert told(rules, read(10 * DAY_S + 2, 200), read(10 * DAY_S + 3, 200)) == ["personal_reads"]
    assert told(rules, at(10 * DAY_S + 4, rows=10**6)) == []  # of another table


def test_an_interrupted_log_is_critical() -> None:
    (alert,) = Rules(CONFIG).take({"event": "gap", "time": BEGIN})
    assert (alert.rule, alert.severity) == ("log_interrupted", "critical")


def test_state_goes_through_json_whole() -> None:
    rules = Rules(CONFIG)
    told(rules, login(0), login(1), read(2, 60))
    again = Rules(CONFIG, state_from_json(json.loads(json.dumps(state_as_json(rules.users)))))
    assert told(again, login(3)) == ["failed_logins"]


# -- the watcher


@pytest.fixture
def log(tmp_path: Path) -> Log:
    log = Log(tmp_path / "audit.jsonl")
    log.add(login(0), login(1), at(2, relations=("public.honey",)))
    return log


def alerts(config: AuditConfig) -> list[dict[str, Any]]:
    lines = map(json.loads, alerts_path(config).read_bytes().splitlines())
    return [line for line in lines if line["event"] == "alert"]


async def watch(config: AuditConfig) -> Watcher:
    watcher = Watcher(config)
    watcher.open()
    while watcher.step():
        pass
    await watcher.close()
    return watcher


async def test_alerts_are_a_log_and_a_restart_changes_nothing(log: Log) -> None:
    config = AuditConfig(path=log.path, watch=CONFIG)
    await watch(config)
    log.rotate("audit.jsonl.1")
    log.add(login(3))
    assert (await watch(config)).events == 2
    assert (await watch(config)).events == 0
    found = alerts(config)
    assert [alert["rule"] for alert in found] == ["canary", "failed_logins"]
    assert (found[0]["level"], found[0]["tenant"], found[0]["subject"]) == ("critical", "acme", "alice")
    lines = log.path.with_name("audit.jsonl.1").read_bytes() + log.path.read_bytes()
    assert found[0]["about"].encode() in lines
    assert verify_file(alerts_path(config)).ok


async def test_after_a_crash_alerts_that_come_twice_have_the_same_id(log: Log) -> None:
    config = AuditConfig(path=log.path, watch=CONFIG)
    await watch(config)
    (log.path.parent / "watch" / "state.json").unlink()
    await watch(config)
    first, second = alerts(config)
    assert first["alert"] == second["alert"]
    (log.path.parent / "watch" / "state.json").write_text("{")
    await watch(config)
    assert len(alerts(config)) == 3


def test_the_command_tells_and_sinks_get_alerts(log: Log, capfd: pytest.CaptureFixture[str]) -> None:
    path = log.path.with_name("tenantgate.toml")
    path.write_text('[audit]\npath = "audit.jsonl"\n[audit.watch]\ncanary_relations = ["public.honey"]\n'
                    '[audit.sinks.out]\ntype = "stdout"\n')  # fmt: skip
    assert main(["audit", "watch", "-c", str(path), "--once"]) == 1
    assert "4 events, 1 alert(s)" in capfd.readouterr().out
    assert main(["audit", "watch", "-c", str(path), "--once"]) == 0
    assert main(["audit", "forward", "-c", str(path), "--once"]) == 0
    assert '"rule":"canary"' in capfd.readouterr().out
    path.write_text('[audit]\npath = "audit.jsonl"\n')
    assert main(["audit", "watch", "-c", str(path), "--once"]) == 2


# -- unusual statements


def usual(draw: random.Random, number: int, **members: object) -> dict[str, Any]:
    event = at(number * 60 % 20_000, rows=draw.randrange(1, 20), bytes=draw.randrange(100, 900), duration_us=700)
    return {**event._asdict(), "relations": ["public.orders"], "action": "read", **members}


ODD = {"relations": ["public.salaries"], "rows": 80_000, "bytes": 9_000_000, "action": "copy_out"}


def test_the_features_of_a_statement_have_their_places() -> None:
    assert len(vector_of(usual(random.Random(1), 1))) == DIMENSIONS
    places = sorted(GROUPS.values())
    assert places[0][0] == 0
    assert places[-1][1] == DIMENSIONS
    assert all(a[1] == b[0] for a, b in pairwise(places))


def test_an_unusual_statement_is_told_with_what_differs(tmp_path: Path) -> None:
    draw = random.Random(8)
    unusual = Unusual(tmp_path)
    for number in range(150):
        assert unusual.take(usual(draw, number)) == []
        assert unusual.take(usual(draw, number, tenant="globex", **ODD)) == []  # what is usual there is not here
    unusual.save()
    again = Unusual(tmp_path)
    (alert,) = again.take(usual(draw, 151, **ODD))
    assert alert.rule == "unusual_statement"
    assert "80000 rows" in alert.text
    assert "public.salaries" in alert.text or "copy_out" in alert.text
    assert again.take(usual(draw, 151, **ODD)) == []  # not again within the hour
    assert again.take(usual(draw, 152, subject="new", **ODD)) == []  # nothing is known of this one


def test_vectors_of_a_tenant_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("admin.watching.unusual.MAX_VECTORS", 40)
    draw = random.Random(2)
    vectors = TenantVectors(tmp_path, "acme")
    for number in range(100):
        vectors.take(usual(draw, number), f"user{number % 3}")
    assert len(vectors._owners) == vectors._index.ntotal <= 80 < MAX_VECTORS
