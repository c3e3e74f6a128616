"""A report as bytes: JSON, HTML (one file without scripts or references, readable in print) or PDF."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from admin.compliance.figures import WORDS


def render_json(report: Mapping[str, Any]) -> bytes:
    """For machines."""
    return json.dumps(report, indent=1, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


def render_html(report: Mapping[str, Any]) -> bytes:
    """For a browser and its printer. Values are escaped, whatever a client wrote."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("admin.compliance", ""), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    page = environment.get_template("report.html").render(report=report, words=WORDS)
    return page.encode("utf-8", "backslashreplace")


def render_pdf(report: Mapping[str, Any]) -> bytes:
    """For files and signatures."""
    from admin.compliance.pdf import render

    return render(report)


RENDERERS: Final[Mapping[str, Callable[[Mapping[str, Any]], bytes]]] = {
    "json": render_json,
    "html": render_html,
    "pdf": render_pdf,
}
