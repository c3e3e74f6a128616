"""What a StartupMessage asks for: user, database, and the settings that a client may bring to a login.

These are what every session may SET. Everything else is refused before anything is sent anywhere (CVE-2025-12819:
startup parameters that reached a server before login). Names are compared without case and with `-` as `_`, as the
server does; `options` is split as in pg_split_opts and read like the `-c` and `--` switches of postgres. Settings that
the gateway fixes itself are dropped where they say what is so (search_path: of another one the login decides), or
normalised (client_encoding).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from policy.errors import TenantGateError
from policy.identity import clean_text
from policy.sql.rules.settings import OF_TRANSACTION, SETTINGS
from proxy.postgres.encodings import is_utf8
from proxy.postgres.search_path import is_path_of, split_path
from proxy.postgres.wire.startup import StartupMessage

MAX_NAME_BYTES = 63  # NAMEDATALEN - 1: older servers would cut, and open another name than we checked
AUTH_METHODS = ("password", "oauthbearer")
TENANT_OPTION = "tenantgate.tenant"
AUTH_OPTION = "tenantgate.auth"

_BLANKS = " \t\n\v\f\r"
_DATE_STYLE_WORDS = frozenset(
    {"iso", "sql", "postgres", "german", "mdy", "dmy", "ymd", "us", "euro", "european", "noneuropean", "default"}
)
_INTERVAL_STYLES = frozenset({"postgres", "postgres_verbose", "sql_standard", "iso_8601"})
_TIME_ZONE = re.compile(r"[A-Za-z0-9_+\-/:.<>, ]{1,64}")
_TIME_OUT = re.compile(r"[0-9]{1,10} ?(ms|s|min|h|d)?")
_SWITCH = frozenset({"on", "off", "true", "false", "yes", "no", "1", "0"})
_MAX_PATH = 1000


class StartupRefused(TenantGateError):
    """A startup packet asks for something that is not to be had. Told to the client as it is (FATAL)."""

    kind = "startup"
    default_sqlstate = "08P01"


@dataclass(frozen=True, slots=True)
class LoginRequest:
    """`database` is None when the client named none. `parameters`: canonical name to value, for the backend."""

    user: str
    database: str | None
    tenant: str | None = None
    auth_method: str | None = None
    parameters: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


def read_startup(startup: StartupMessage) -> LoginRequest:
    """Read and check the packet. Raises StartupRefused."""
    given = startup.parameters
    if startup.duplicates:
        raise StartupRefused("a startup parameter was given twice")
    if any(_folded(name) == "replication" for name in given):
        raise StartupRefused("replication connections are not supported", sqlstate="0A000")
    user = _name(given.get("user", ""), "user")
    if not user:
        raise StartupRefused("no PostgreSQL user name specified in startup packet", sqlstate="28000")
    settings = list(split_options(given.get("options", "")))
    settings += [(name, value) for name, value in given.items() if name not in ("user", "database", "options")]
    selected: dict[str, str] = {}
    parameters: dict[str, str] = {}
    for name, value in settings:
        _take(_folded(name), value, selected, parameters)
    return LoginRequest(
        user=user,
        database=_name(given.get("database", ""), "database") or None,
        tenant=selected.get(TENANT_OPTION),
        auth_method=selected.get(AUTH_OPTION),
        parameters=MappingProxyType(parameters),
    )


def split_options(text: str) -> Iterator[tuple[str, str]]:
    """The (name, value) pairs of `-c name=value`, `-cname=value` and `--name=value`. Raises StartupRefused."""
    words = _split_words(text)
    for word in words:
        if word == "-c":
            word = next(words, "")
        elif word.startswith("-c") or (word.startswith("--") and len(word) > 2):
            word = word[2:]
        else:
            raise StartupRefused(f"unsupported startup option: {_shown(word)}", hint="Use -c name=value.")
        name, equals, value = word.partition("=")
        if not name or not equals:
            raise StartupRefused(
                f"startup option {_shown(word)} is not name=value", sqlstate="42601", hint="Use -c name=value."
            )
        yield name, value


def _split_words(text: str) -> Iterator[str]:
    """As in pg_split_opts: blanks separate, a backslash takes the next character as it is."""
    word: list[str] | None = None
    characters = iter(text)
    for character in characters:
        if character in _BLANKS:
            if word is not None:
                yield "".join(word)
            word = None
        else:
            word = [] if word is None else word
            word.append(next(characters, "") if character == "\\" else character)
    if word is not None:
        yield "".join(word)


def _take(name: str, value: str, selected: dict[str, str], parameters: dict[str, str]) -> None:
    if name in (TENANT_OPTION, AUTH_OPTION):
        if selected.setdefault(name, value) != value:
            raise StartupRefused(f"{name} was given twice", sqlstate="22023")
        if name == AUTH_OPTION and value not in AUTH_METHODS:
            raise _invalid(name, value, "Use password or oauthbearer.")
        if name == TENANT_OPTION:
            _name(value, "tenant")
        return
    canonical, read = _SETTINGS.get(name, (name, _as_in_set))
    accepted = read(name, value)
    if accepted is not None:
        parameters[canonical] = accepted
    else:
        parameters.pop(canonical, None)  # the last value wins


def _folded(name: str) -> str:
    return name.lower().replace("-", "_")


def _name(value: str, kind: str) -> str:
    if len(value.encode()) > MAX_NAME_BYTES:
        raise StartupRefused(f"{kind} name is longer than {MAX_NAME_BYTES} bytes", sqlstate="42622")
    if value and clean_text(value) is None:
        raise StartupRefused(f"{kind} name has control characters", sqlstate="22023")
    return value


def _application_name(name: str, value: str) -> str:
    """Printable ASCII, cut like an identifier, as the server does."""
    return "".join(c if " " <= c <= "~" else "?" for c in value)[:MAX_NAME_BYTES]


def _client_encoding(name: str, value: str) -> str:
    """Others than UTF8 are for tenants with a database of their own: login_steps.py looks."""
    return "UTF8" if is_utf8(value) else _name(value, name)


def _date_style(name: str, value: str) -> str:
    words = [word.strip().lower() for word in value.split(",")]
    if not _DATE_STYLE_WORDS.issuperset(words):
        raise _invalid("DateStyle", value, "For example: ISO, MDY.")
    return ", ".join(words)


def _interval_style(name: str, value: str) -> str:
    if value.lower() not in _INTERVAL_STYLES:
        raise _invalid("IntervalStyle", value, "For example: postgres.")
    return value.lower()


def _time_zone(name: str, value: str) -> str:
    if not _TIME_ZONE.fullmatch(value):
        raise _invalid("TimeZone", value, "For example: Europe/Berlin.")
    return value


def _extra_float_digits(name: str, value: str) -> str:
    if not re.fullmatch(r"-?[0-9]{1,2}", value) or not -15 <= int(value) <= 3:
        raise _invalid(name, value, "A number from -15 to 3.")
    return str(int(value))


def _search_path(name: str, value: str) -> str | None:
    """Others than public are for who may SET them: login_steps.py looks."""
    try:
        names = split_path(value)
    except ValueError:
        names = ("",)
    if len(value) > _MAX_PATH or not all(n.isprintable() and 0 < len(n.encode()) <= MAX_NAME_BYTES for n in names):
        raise _invalid(name, value, 'For example: app, "Other", public.')
    return None if is_path_of("public", names) else value


def _standard_conforming_strings(name: str, value: str) -> None:
    """On, as the gateway reads every text; a client may say so."""
    if value.lower() not in ("on", "true", "yes", "1"):
        raise _invalid(name, value, "Only on is supported.", sqlstate="0A000")


def _time_out(name: str, value: str) -> str:
    if not _TIME_OUT.fullmatch(value):
        raise _invalid(name, value, "For example: 5000, or 5s.")
    return value


def _switch(name: str, value: str) -> str:
    if value.lower() not in _SWITCH:
        raise _invalid(name, value, "on or off.")
    return value.lower()


def _as_in_set(name: str, value: str) -> str:
    """Any other setting that a session may SET, whoever its tenant is."""
    if name not in SETTINGS or name in OF_TRANSACTION or "." in name:
        raise StartupRefused(
            f"unsupported startup parameter: {_shown(name)}",
            hint="Leave it out of the connection string, or use SET after connecting.",
        )
    allowed = SETTINGS[name]
    if len(value) > MAX_NAME_BYTES or not value.isprintable():
        raise _invalid(name, value, "Leave it out, or correct it.")
    if allowed is not None and value.strip().lower() not in allowed:
        raise _invalid(name, value, f"One of {', '.join(sorted(allowed))}.")
    return value


def _invalid(name: str, value: str, hint: str, sqlstate: str = "22023") -> StartupRefused:
    return StartupRefused(f"invalid value for parameter {name}: {_shown(value)}", sqlstate=sqlstate, hint=hint)


def _shown(text: str) -> str:
    """Client's text in an error message: short, and nothing that could upset a terminal."""
    return '"' + "".join(c if c.isprintable() else "?" for c in text[:MAX_NAME_BYTES]) + '"'


_SETTINGS: Mapping[str, tuple[str, Callable[[str, str], str | None]]] = {
    "application_name": ("application_name", _application_name),
    "client_encoding": ("client_encoding", _client_encoding),
    "datestyle": ("DateStyle", _date_style),
    "intervalstyle": ("IntervalStyle", _interval_style),
    "timezone": ("TimeZone", _time_zone),
    "extra_float_digits": ("extra_float_digits", _extra_float_digits),
    "statement_timeout": ("statement_timeout", _time_out),
    "lock_timeout": ("lock_timeout", _time_out),
    "idle_in_transaction_session_timeout": ("idle_in_transaction_session_timeout", _time_out),
    "jit": ("jit", _switch),
    "default_transaction_read_only": ("default_transaction_read_only", _switch),
    "search_path": ("search_path", _search_path),
    "standard_conforming_strings": ("standard_conforming_strings", _standard_conforming_strings),
}
