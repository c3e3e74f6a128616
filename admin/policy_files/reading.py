"""A policy file, or all YAML files of a directory as one document; every problem names its file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from admin.services.documents import ALL_SECTIONS
from admin.services.errors import Invalid
from policy.problems import Problems, join_key
from policy.strict_yaml import MAX_BYTES, StrictYamlError, parse_strict_yaml
from policy.yaml_values import as_mapping

_SUFFIXES = (".yaml", ".yml")


def read_files(path: Path) -> dict[str, dict[str, Any]]:
    """Section to id to body. Raises Invalid."""
    problems = Problems()
    files = _files(problems, path)
    document: dict[str, dict[str, Any]] = {}
    places: dict[tuple[str, str], str] = {}
    for file in files:
        for section, bodies in as_mapping(problems, "", _parse(problems, file)).items():
            if section not in ALL_SECTIONS.values():
                problems.unknown_keys(file.name, [section], list(ALL_SECTIONS.values()))
                continue
            into = document.setdefault(section, {})
            for name, body in as_mapping(problems, section, bodies).items():
                first = places.setdefault((section, name), file.name)
                if name in into:
                    hint = "Write each once."
                    problems.add(f"{file.name}: {join_key(section, name)}", f"stands in {first}, too", hint)
                into[name] = body
    if problems.found:
        raise Invalid(tuple(problems.found))
    return document


def _files(problems: Problems, path: Path) -> list[Path]:
    if path.is_dir():
        found = sorted(file for file in path.rglob("*") if file.suffix in _SUFFIXES and file.is_file())
        if not found:
            problems.add(str(path), "has no *.yaml file", "Write one: tenantgate policy export DIR")
        if sum(file.stat().st_size for file in found) > 4 * MAX_BYTES:
            problems.add(str(path), f"larger than {4 * MAX_BYTES // 1024 // 1024} MB in all", "Is this the directory?")
            return []
        return found
    return [path]


def _parse(problems: Problems, file: Path) -> object:
    try:
        if file.stat().st_size > MAX_BYTES:
            raise StrictYamlError(f"larger than {MAX_BYTES // 1024 // 1024} MB")
        return parse_strict_yaml(file.read_text(encoding="utf-8"))
    except OSError as error:
        problems.add(str(file), f"cannot be read: {error.strerror}", "Name a policy file or a directory of them.")
    except StrictYamlError as error:
        where = f"line {error.line}: " if error.line else ""
        problems.add(file.name, where + str(error), "Indent with spaces; quote words with special characters.")
    except ValueError:
        problems.add(file.name, "is not UTF-8", "Save it as UTF-8.")
    return None
