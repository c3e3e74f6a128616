"""A document as files for git: one for each section, the same bytes for the same policy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from admin.policy_files.yaml_text import yaml_text
from admin.services.documents import ALL_SECTIONS

_SUFFIX = ".yaml"


def document_text(document: Mapping[str, Mapping[str, Any]]) -> str:
    """All of it as one file."""
    return "\n".join(yaml_text({section: bodies}) for section, bodies in document.items())


def write_files(path: Path, document: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """To one file when `path` ends in .yaml, else to a directory; files of sections that are empty now are taken away.
    Returns the names of what was written."""
    if path.suffix in (_SUFFIX, ".yml"):
        _write(path, document_text(document))
        return [path.name]
    path.mkdir(parents=True, exist_ok=True)
    for section in ALL_SECTIONS.values():
        if section not in document:
            (path / f"{section}{_SUFFIX}").unlink(missing_ok=True)
    for section, bodies in document.items():
        _write(path / f"{section}{_SUFFIX}", yaml_text({section: bodies}))
    return [f"{section}{_SUFFIX}" for section in document]


def _write(path: Path, text: str) -> None:
    """The old file or the new one, never a part."""
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
