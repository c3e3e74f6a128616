"""The benchmark's figures as a table for a terminal and as an SVG chart."""

from __future__ import annotations

from typing import Any

WAYS = ("direct", "pgbouncer", "tenantgate")
COLOURS = {"direct": "#9aa5b1", "pgbouncer": "#5b8def", "tenantgate": "#1f9d6b"}
_WIDTH, _ROW, _LEFT, _TOP = 760, 18, 190, 56


def table(report: dict[str, Any]) -> str:
    """Figures of all ways, ratios of tenantgate to pgbouncer, marks."""
    lines = [
        f"median of {report['rounds']} rounds of {report['seconds']} s, ways in turn, TLS off; "
        f"hot path {'compiled' if report['compiled'] else 'in pure Python'}; workers: {report['workers']}",
        f"{'':22}{'tps':^30}{'median / p99 ms':^42}{'proxy CPU us per tx':^28}",
        f"{'':22}" + "".join(f"{way:>10}" for way in WAYS) + "".join(f"{way:>14}" for way in WAYS)
        + f"{'pgbouncer':>11}{'tenantgate':>11}{'ratio':>7}",
    ]  # fmt: skip
    lines += [_line(point) for point in report["points"]]
    for name, title in (("transactions", "TPC-B"), ("connections", "log-ins"), ("rate", "fixed rate")):
        lines.append(
            _line({"mode": title, "clients": 4 if name == "connections" else 16, "ways": report["works"][name]})
        )
    for key, title in (("bulk", "COPY out"), ("million", "SELECT of a million rows")):
        ways = report[key]
        lines += ["", f"{title}, {ways['direct']['megabytes']:.0f} MB:"]
        for way in WAYS:
            cpu = ways[way]["proxy_s"]
            lines.append(f"  {way:12} wall {ways[way]['wall_s']:.2f} s" + (f", proxy CPU {cpu:.2f} s" if cpu else ""))
    lines.append("")
    for mark in report["marks"]:
        verdict = "met   " if mark["met"] else "MISSED"
        lines.append(f"{verdict} {mark['name']}: {mark['ratio']:.2f} x ({mark['sign']} {mark['mark']:g})")
    return "\n".join(lines)


def _line(point: dict[str, Any]) -> str:
    ways = point["ways"]
    theirs, ours = ways["pgbouncer"]["proxy_us"], ways["tenantgate"]["proxy_us"]
    return (
        f"{point['mode']:10}{point['clients']:3} clients "
        + "".join(f"{ways[way]['tps']:10,.0f}" for way in WAYS)
        + "".join(f"{ways[way]['median_ms']:7.2f}/{ways[way]['p99_ms']:6.2f}" for way in WAYS)
        + f"{theirs:11.1f}{ours:11.1f}{ours / theirs:7.2f}"
    )


def render_svg(report: dict[str, Any]) -> str:
    """Bars of throughput per point and way, with the proxy's CPU per transaction written behind them."""
    points = report["points"]
    top = max(point["ways"][way]["tps"] for point in points for way in WAYS)
    height = _TOP + len(points) * (_ROW * len(WAYS) + 12) + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" font-family="sans-serif" '
        f'font-size="12"><rect width="100%" height="100%" fill="white"/>',
        '<text x="12" y="22" font-size="15">pgbench -S: transactions per second (proxy CPU per transaction)</text>',
    ]
    for number, way in enumerate(WAYS):
        x = _LEFT + number * 130
        parts.append(f'<rect x="{x}" y="32" width="12" height="12" fill="{COLOURS[way]}"/>')
        parts.append(f'<text x="{x + 18}" y="42">{way}</text>')
    y = _TOP
    for point in points:
        parts.append(f'<text x="12" y="{y + _ROW * 2 - 4}">{point["mode"]}, {point["clients"]} clients</text>')
        for way in WAYS:
            parts += _bar(point["ways"][way], way, y, top)
            y += _ROW
        y += 12
    return "\n".join([*parts, "</svg>"]) + "\n"


def _bar(figures: dict[str, Any], way: str, y: int, top: float) -> list[str]:
    width = figures["tps"] / top * (_WIDTH - _LEFT - 150)
    cpu = f" ({figures['proxy_us']:.0f} us)" if figures["proxy_us"] is not None else ""
    return [
        f'<rect x="{_LEFT}" y="{y}" width="{width:.1f}" height="{_ROW - 3}" fill="{COLOURS[way]}"/>',
        f'<text x="{_LEFT + width + 6:.1f}" y="{y + _ROW - 6}">{figures["tps"]:,.0f}{cpu}</text>',
    ]
