"""A report as PDF (fpdf2), with the fonts that every reader has: characters beyond Latin-1 are written as \\uXXXX."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from fpdf import FPDF
from fpdf.enums import XPos, YPos

from admin.compliance.figures import EXCEPTIONS, MISSING, SHOWN, WORDS

_FONT: Final = "Helvetica"
_COLOURS: Final = {SHOWN: (218, 251, 225), EXCEPTIONS: (255, 241, 194), MISSING: (255, 216, 211)}
_READABLE: Final = str.maketrans({"…": "...", "–": "-", "—": "-", "’": "'", "“": '"', "”": '"', "\t": " "})
_MAX_CELL_CHARS: Final = 400


def render(report: Mapping[str, Any]) -> bytes:
    """The same content as the HTML, in the same order."""
    page = _Page(report)
    page.cover()
    for control in report["controls"]:
        page.control(control)
    return bytes(page.output())


class _Page(FPDF):
    """Lifetime: of one rendering."""

    def __init__(self, report: Mapping[str, Any]) -> None:
        super().__init__(format="A4")
        self._report = report
        self.set_title(_latin(f"{report['title']}: {report['from']} to {report['to']}"))
        self.set_creation_date(datetime.fromisoformat(report["made"]))
        self.set_auto_page_break(True, margin=18)
        self.add_page()

    def footer(self) -> None:
        self.set_y(-12)
        self.set_font(_FONT, size=8)
        period = f"{self._report['framework']}, {self._report['from']} to {self._report['to']}"
        self.cell(0, 6, _latin(f"{period}, made {self._report['made']}, page {self.page_no()}"), align="C")

    def cover(self) -> None:
        report, log = self._report, self._report["log"]
        self._text(report["title"], size=15, style="B")
        whose = f"tenant {report['tenant']}" if report["tenant"] else "all tenants"
        self._text(f"{report['from']} to {report['to']} (UTC), {whose}")
        self._text(f"Made {report['made']} by {report['made_by']}. {_log_words(log)}")
        self._text("A figure shows what the log and the configuration say; whether a control is effective is the"
                   " auditor's judgement.", size=8)  # fmt: skip
        rows = [[c["id"], c["title"], WORDS[c["state"]], len(c["findings"])] for c in report["controls"]]
        self._table(["control", "title", "state", "findings"], rows)

    def control(self, control: Mapping[str, Any]) -> None:
        self.ln(4)
        self.set_fill_color(*_COLOURS[control["state"]])
        self._text(f"{control['id']}  {control['title']}: {WORDS[control['state']]}", size=12, style="B", fill=True)
        self._text(control["asks"], style="I")
        self._text(control["answer"])
        self._text(f"Not shown here: {control['beyond']}", size=8)
        for finding in control["findings"]:
            self._text(f"- {finding}", style="B")
        for figure in control["evidence"]:
            self._figure(figure)

    def _figure(self, figure: Mapping[str, Any]) -> None:
        self.ln(1)
        total = "" if figure["total"] is None else f": {figure['total']}"
        self._text(f"{figure['title']}{total}", size=10, style="B")
        self._text(f"From {figure['source']}", size=7)
        if figure["missing"]:
            self._text(f"Missing: {figure['missing']}", style="B")
        elif figure["rows"]:
            self._table(figure["headers"], figure["rows"])
        else:
            self._text("None in the period.")

    def _text(self, text: str, *, size: int = 9, style: Any = "", fill: bool = False) -> None:
        self.set_font(_FONT, style=style, size=size)
        self.multi_cell(0, size * 0.5, _latin(text), fill=fill, new_x=XPos.LMARGIN, new_y=YPos.NEXT)

    def _table(self, headers: list[str], rows: list[list[Any]]) -> None:
        self.set_font(_FONT, size=8)
        with self.table(first_row_as_headings=any(headers), line_height=4, text_align="LEFT") as table:
            for cells in [headers, *rows] if any(headers) else rows:
                row = table.row()
                for cell in cells:
                    row.cell(_latin(str(cell))[:_MAX_CELL_CHARS])


def _log_words(log: Mapping[str, Any]) -> str:
    if not log["verified"]:
        return "The audit log was not verified for this report."
    if log["holds"]:
        return f"The audit log was verified: {log['lines']} lines in {log['chains']} chain(s) hold."
    return "THE AUDIT LOG DOES NOT VERIFY: what follows may rest on lines that were changed."


def _latin(text: str) -> str:
    plain = "".join(c if c.isprintable() or c == "\n" else " " for c in text.translate(_READABLE))
    return plain.encode("latin-1", "backslashreplace").decode("latin-1")
