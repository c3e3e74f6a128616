"""Both formats carry message and fields; no secret and no control character gets through."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from proxy.config import LogConfig
from proxy.observe.logs import configure_logging, redact

JWT = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhbGljZSIsInRlbmFudCI6ImFjbWUifQ.c2lnbmF0dXJlLW9mLXRoZS10b2tlbg"
log = logging.getLogger("tests.logs")


@pytest.fixture(autouse=True)
def root_logger() -> Iterator[None]:
    """Leave the root logger as it was."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def configured(form: str, level: str = "info", stream: io.StringIO | None = None) -> io.StringIO:
    stream = stream or io.StringIO()
    configure_logging(LogConfig(level=level, format=form), stream)
    return stream


def test_json_lines_have_fields() -> None:
    out = configured("json")
    log.info("listening on %s", "here", extra={"port": 6432, "tls": True, "peer": None, "message_id": 'a"b'})
    line = json.loads(out.getvalue())
    assert line["message"] == "listening on here"
    assert line["level"] == "info"
    assert line["logger"] == "tests.logs"
    assert (line["port"], line["tls"], line["peer"], line["message_id"]) == (6432, True, None, 'a"b')
    assert line["time"].endswith("+00:00")


def test_human_lines_have_fields() -> None:
    out = configured("human")
    log.warning("slow", extra={"port": 6432, "why": "two words"})
    text = out.getvalue()
    assert 'WARN  tests.logs  slow  port=6432  why="two words"\n' in text
    assert "\x1b" not in text


def test_auto_is_human_on_a_terminal_and_json_elsewhere() -> None:
    terminal, pipe = Terminal(), io.StringIO()
    configured("auto", stream=terminal)
    log.info("hello")
    configured("auto", stream=pipe)
    log.info("hello")
    assert terminal.getvalue().count("\n") == 1
    assert "\x1b[32mINFO" in terminal.getvalue()
    assert json.loads(pipe.getvalue())["message"] == "hello"


def test_level() -> None:
    out = configured("json", level="warning")
    log.info("quiet")
    log.warning("loud")
    assert json.loads(out.getvalue())["message"] == "loud"


def test_configuring_again_replaces_the_handler() -> None:
    first, second = configured("json"), configured("json")
    log.info("once")
    assert first.getvalue() == ""
    assert second.getvalue().count("\n") == 1


SECRET = "hunter2-Zx9"


@pytest.mark.parametrize(
    "text",
    [
        f"password={SECRET}",
        f"password: {SECRET}",
        f'{{"password": "{SECRET}"}}',
        f"{{'client_secret': '{SECRET} with more'}}",
        f"PGPASSWORD={SECRET} psql",
        f"dsn host=h passwd = '{SECRET}' dbname=d",
        f"ALTER ROLE a PASSWORD '{SECRET}'",
        f"CREATE ROLE a WITH LOGIN password E'{SECRET}\\'{SECRET}'",
        f"Authorization: Bearer {SECRET}abcdef",
        f"Authorization: Basic {SECRET}abcdef",
        f"Authorization: Negotiate {SECRET}abcdef",
        f"password=a,b;c&d'e)f]{SECRET}",
        f'password="two words {SECRET}',
        f"sent bearer {SECRET}abcdef",
        f"postgres://alice:{SECRET}@db/x",
        f"postgres://alice:a@b/{SECRET}@db/x",
        f"SCRAM-SHA-256$4096:{SECRET}$stored:server",
        f"api_key={SECRET}",
        f"-----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----",
        f"-----BEGIN EC PRIVATE KEY-----\n{SECRET}",
        JWT.replace("c2lnbmF0dXJl", SECRET),
        f"token {JWT}{SECRET}",
        f"x{JWT}.{SECRET}.more.{SECRET}",
    ],
)
@pytest.mark.parametrize("form", ["human", "json"])
@pytest.mark.parametrize("way", ["message", "argument", "field", "exception"])
def test_secrets_do_not_pass(text: str, form: str, way: str) -> None:
    out = configured(form)
    if way == "message":
        log.info(text)
    elif way == "argument":
        log.info("got %s", text)
    elif way == "field":
        log.info("got", extra={"detail": text, "nested": {"inner": [text]}})
    else:
        try:
            raise ValueError(text)
        except ValueError:
            log.exception("failed")
    assert SECRET not in out.getvalue()
    assert JWT not in out.getvalue()
    assert "[redacted]" in out.getvalue()


@pytest.mark.parametrize("name", ["password", "db_password", "token", "client_secret", "verifier", "jwt", "apikey"])
def test_fields_with_secret_names_are_not_shown(name: str) -> None:
    out = configured("json")
    log.info("x", extra={name: SECRET})
    assert json.loads(out.getvalue())[name] == "[redacted]"


@pytest.mark.parametrize(
    "text",
    ["the token is expired", "SELECT password FROM users", "login ok for alice", "prev=abc hash=def", "tokens used"],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text) == text


def test_redaction_is_idempotent_and_quick_on_long_text() -> None:
    once = redact(f"password={SECRET} {JWT}")
    assert redact(once) == once
    for text in ("a" * 300_000, "a.b" * 100_000, "eyJ" * 100_000, "token" * 60_000, "password '" * 30_000):
        redact(text)


@pytest.mark.parametrize("form", ["human", "json"])
def test_a_client_cannot_forge_lines_or_steer_the_terminal(form: str) -> None:
    out = configured(form)
    log.info("user %s", "x\nINFO forged\x1b[2J\x9b", extra={"application": "a\r\nb\x1b"})
    text = out.getvalue()
    assert text.count("\n") == 1
    assert all(char.isprintable() for char in text[:-1])


@pytest.mark.parametrize("form", ["human", "json"])
def test_tracebacks_are_shown(form: str) -> None:
    out = configured(form)
    try:
        raise RuntimeError("boom")
    except RuntimeError:
        log.exception("failed")
    assert "RuntimeError: boom" in out.getvalue()
    assert "test_logs.py" in out.getvalue()
