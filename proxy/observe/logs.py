"""Logging of the gateway: for people on a terminal, JSON lines otherwise; fields come from `extra={...}`.

Secrets never pass: tokens, passwords, verifiers and private keys are taken out of messages, fields and tracebacks
before any formatter sees them. Control characters, which clients can put into names, are escaped.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TextIO

from proxy.config import LogConfig

REDACTED = "[redacted]"

_WORDS = (
    r"(?:pass(?:word|wd|phrase)?|pwd|secret|token|api_?key|private_?key|client_?secret|authorization|verifier"
    r"|credentials?|jwt)"
)
_JWT = re.compile(r"eyJ[\w-]{5,}(?:\.[\w-]*)*")
_KEYED = re.compile(
    rf"""(?ix) ({_WORDS} ["']? \s* (?: [=:] | => ) \s* (?: (?:bearer|basic) \s+ )? )"""
    r"""(?: "(?:[^"\\]|\\.)*"? | '(?:[^'\\]|\\.|'')*'? | \S+ )"""  # rather too much than a secret's end
)
_SQL_PASSWORD = re.compile(r"(?i)(\bpassword\s+)(?:E?'(?:[^'\\]|\\.|'')*'?)")
_AUTHORIZATION = re.compile(r"(?i)(\bauthorization[\"']?\s*[=:]\s*)[^\r\n]+")
_BEARER = re.compile(r"(?i)\b(bearer\s+)[\w.~+/=-]{8,}")
_SCRAM = re.compile(r"SCRAM-SHA-256\$[^\s'\",]+")
_URL_PASSWORD = re.compile(r"(\b[a-zA-Z][\w+.-]{0,20}://[^\s:/@]*:)\S{1,200}(@)")
_PEM = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL)
_MAX_DEPTH = 4
_SECRET_NAME = re.compile(rf"(?i)(?:^|[_.-]){_WORDS}s?$")

_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))} | {10: "\\n", 13: "\\r", 9: "\\t"}
_TRACE_CONTROLS = {code: text for code, text in _CONTROLS.items() if code != 10}
_LEVELS = {"WARNING": "WARN", "CRITICAL": "FATAL"}
_COLOURS = {"DEBUG": "2", "INFO": "32", "WARN": "33", "ERROR": "31", "FATAL": "1;31"}
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


def configure_logging(config: LogConfig, stream: TextIO | None = None, worker: int | None = None) -> None:
    """Send the process's log to `stream` (standard error) as `config` says. May be called again (SIGHUP).

    worker: the seat that every line names, when this process is one of several.
    """
    stream = stream or sys.stderr
    human = config.format == "human" or (config.format == "auto" and stream.isatty())
    handler = _GatewayHandler(stream)
    handler.setFormatter(HumanFormatter(colour=stream.isatty()) if human else JsonFormatter())
    handler.addFilter(RedactingFilter())
    if worker is not None:
        handler.addFilter(_named(worker))
    root = logging.getLogger()
    for old in [old for old in root.handlers if isinstance(old, _GatewayHandler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(config.level.upper())
    logging.captureWarnings(True)


def redact(text: str) -> str:
    """`text` without what looks like a secret; idempotent."""
    text = _PEM.sub(REDACTED, text)
    text = _JWT.sub(REDACTED, text)
    text = _SCRAM.sub(REDACTED, text)
    text = _URL_PASSWORD.sub(rf"\g<1>{REDACTED}\g<2>", text)
    text = _SQL_PASSWORD.sub(rf"\g<1>{REDACTED}", text)
    text = _AUTHORIZATION.sub(rf"\g<1>{REDACTED}", text)
    text = _BEARER.sub(rf"\g<1>{REDACTED}", text)
    return _KEYED.sub(rf"\g<1>{REDACTED}", text)


def _named(worker: int) -> Callable[[logging.LogRecord], bool]:
    def name(record: logging.LogRecord) -> bool:
        record.worker = worker
        return True

    return name


class _GatewayHandler(logging.StreamHandler[TextIO]):
    """Ours, so that a second `configure_logging` finds it."""


class RedactingFilter(logging.Filter):
    """Takes secrets out of a record: message, fields, traceback. Lets every record pass."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = redact(record.getMessage())
        record.args = None
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = redact(record.exc_text)
        for name, value in fields_of(record).items():
            setattr(record, name, _safe_field(name, value))
        return True


def fields_of(record: logging.LogRecord) -> dict[str, object]:
    """What the caller gave as `extra`."""
    return {name: value for name, value in record.__dict__.items() if name not in _STANDARD}


def _safe_field(name: str, value: object, depth: int = 0) -> object:
    if _SECRET_NAME.search(name) and value not in (None, ""):
        return REDACTED
    if value is None or isinstance(value, int | float):
        return value
    if depth < _MAX_DEPTH:
        # One level at a time: the repr of a container escapes quotes, behind which a secret could hide.
        if isinstance(value, Mapping):
            return {str(key): _safe_field(str(key), item, depth + 1) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [_safe_field(name, item, depth + 1) for item in value]
    return redact(str(value))


class HumanFormatter(logging.Formatter):
    """`15:50:01.123 INFO  proxy.server  listening  port=6432`, a traceback indented below."""

    def __init__(self, *, colour: bool = False) -> None:
        super().__init__()
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        level = _LEVELS.get(record.levelname, record.levelname)
        when = datetime.fromtimestamp(record.created).strftime("%H:%M:%S")
        parts = [
            f"{when}.{int(record.msecs):03d} {self._painted(level)} {record.name}",
            record.getMessage().translate(_CONTROLS),
            *(f"{name}={_plain(value)}" for name, value in fields_of(record).items()),
        ]
        text = "  ".join(parts)
        if record.exc_text:
            text += "\n    " + record.exc_text.translate(_TRACE_CONTROLS).replace("\n", "\n    ")
        return text

    def _painted(self, level: str) -> str:
        return f"\x1b[{_COLOURS.get(level, '0')}m{level:<5}\x1b[0m" if self._colour else f"{level:<5}"


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, message, the fields, exception."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name, value in fields_of(record).items():
            line[f"field_{name}" if name in line else name] = value
        if record.exc_text:
            line["exception"] = record.exc_text
        return json.dumps(line, default=str)


def _plain(value: object) -> str:
    text = str(value)
    return json.dumps(text) if not text or re.search(r"[\s\"=\x00-\x1f\x7f-\x9f]", text) else text
