"""The marks of the project's issues, met or missed: TenantGate's figures by those of another way in the same run."""

from __future__ import annotations

from typing import Any

Ways = dict[str, dict[str, float | None]]


def marks_of(points: list[dict[str, Any]], works: dict[str, Ways], bulk: Ways, million: Ways) -> list[dict[str, Any]]:
    """Each mark: name, ratio, the mark, whether more or less is better, met."""
    marks: list[dict[str, Any]] = []
    for point in points:
        name = f"{point['mode']}, {point['clients']} clients"
        marks += _point_marks(name, point["mode"], point["clients"], point["ways"])
    marks += _literals(works["literals"])
    marks.append(_least("TPC-B, 16 clients: tps", works["transactions"], "tps", 0.85))
    marks.append(_most("fixed rate, 70 % of PgBouncer's peak: p99", works["rate"], "p99_ms", 1.0))
    marks.append(_least("new connections per second", works["connections"], "tps", 0.5))
    for name, ways in (("COPY out of 200 MB", bulk), ("SELECT of a million rows", million)):
        marks.append(_most(f"{name}: CPU", ways, "proxy_s", 1.5))
        marks.append(_most(f"{name}: wall", ways, "wall_s", 1.0))
    return marks


def _point_marks(name: str, mode: str, clients: int, ways: Ways) -> list[dict[str, Any]]:
    if clients == 1:
        return [_most(f"{name}: CPU", ways, "proxy_us", 2.0), _most(f"{name}: median latency", ways, "median_ms", 1.25)]
    if clients < 64:
        return [_most(f"{name}: CPU", ways, "proxy_us", 2.0), _least(f"{name}: tps", ways, "tps", 1.0)]
    if mode == "simple":
        return [
            _least(f"{name}: tps", ways, "tps", 1.6),
            _least(f"{name}: tps by a direct connection's", ways, "tps", 1.5, "direct"),
            _most(f"{name}: CPU", ways, "proxy_us", 1.0),
        ]
    return [_least(f"{name}: tps", ways, "tps", 1.3), _most(f"{name}: CPU", ways, "proxy_us", 1.1)]


def _literals(ways: Ways) -> list[dict[str, Any]]:
    name = "ever-changing literals, 64 clients"
    hits = ways["simple"]["plan_cache_hits"]
    assert hits is not None
    return [
        {"name": f"{name}: plan cache hits", "ratio": hits, "mark": 0.99, "sign": "at least", "met": hits >= 0.99},
        _mark_by_prepared(f"{name}: CPU by that of prepared statements", ways, "proxy_us", most=1.1),
        _mark_by_prepared(f"{name}: tps by that of prepared statements", ways, "tps", least=0.9),
    ]


def _mark_by_prepared(
    name: str, ways: Ways, key: str, *, most: float = float("inf"), least: float = 0.0
) -> dict[str, Any]:
    texts, prepared = ways["simple"][key], ways["prepared"][key]
    assert texts is not None
    assert prepared is not None
    ratio = texts / prepared
    sign, mark = ("at least", least) if least else ("at most", most)
    return {"name": name, "ratio": ratio, "mark": mark, "sign": sign, "met": least <= ratio <= most}


def _most(name: str, ways: Ways, key: str, mark: float) -> dict[str, Any]:
    ratio = _ratio(ways, key, "pgbouncer")
    return {"name": name, "ratio": ratio, "mark": mark, "sign": "at most", "met": ratio <= mark}


def _least(name: str, ways: Ways, key: str, mark: float, by: str = "pgbouncer") -> dict[str, Any]:
    ratio = _ratio(ways, key, by)
    return {"name": name, "ratio": ratio, "mark": mark, "sign": "at least", "met": ratio >= mark}


def _ratio(ways: Ways, key: str, by: str) -> float:
    ours, theirs = ways["tenantgate"][key], ways[by][key]
    assert ours is not None
    assert theirs is not None
    return ours / theirs
