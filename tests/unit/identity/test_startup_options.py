"""What a startup packet may ask for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.postgres.search_path import split_path
from proxy.postgres.startup_options import LoginRequest, StartupRefused, read_startup, split_options
from proxy.postgres.wire.startup import StartupMessage


def read(**parameters: str) -> LoginRequest:
    return read_startup(StartupMessage((3, 0), {"user": "alice"} | parameters))


def refused(**parameters: str) -> StartupRefused:
    with pytest.raises(StartupRefused) as error:
        read(**parameters)
    return error.value


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("", []),
        ("   ", []),
        ("-c a=b", [("a", "b")]),
        ("-ca=b  -c  c=d", [("a", "b"), ("c", "d")]),
        ("--a-b=c", [("a-b", "c")]),
        (r"-c a=b\ c\\d", [("a", r"b c\d")]),
        (r"--search-path=evil,\ public -cfoo=0", [("search-path", "evil, public"), ("foo", "0")]),
        ("-c a=b=c", [("a", "b=c")]),
        ("-c a=", [("a", "")]),
        ("-c\ta=b\n-c\vc=d", [("a", "b"), ("c", "d")]),
        ("-c a=b\\", [("a", "b")]),
    ],
)
def test_options_are_split_as_on_the_server(text: str, pairs: list[tuple[str, str]]) -> None:
    assert list(split_options(text)) == pairs


@pytest.mark.parametrize(
    "text", ["-c=", "-c =", "-c", "-c a", "--", "--a", "--=b", "-", "a=b", "-d 5", "-W", "-c a=b -e", "-ec a=b", "\\"]
)
def test_options_that_are_none(text: str) -> None:
    with pytest.raises(StartupRefused):
        list(split_options(text))


def quoted(text: str) -> str:
    return "".join("\\" + c if c in " \t\n\v\f\r\\" else c for c in text)


words = st.text(min_size=1, max_size=10).filter(lambda text: "=" not in text and "\0" not in text)


@given(st.lists(st.tuples(words, words), max_size=5))
def test_quoted_options_come_back(pairs: list[tuple[str, str]]) -> None:
    text = " ".join(f"-c {quoted(name)}={quoted(value)}" for name, value in pairs)
    assert list(split_options(text)) == pairs


@given(st.text(max_size=60))
def test_any_options_end(text: str) -> None:
    try:
        read(options=text)
    except StartupRefused:
        return


def test_what_drivers_send() -> None:
    request = read(
        database="acme",
        client_encoding="'utf-8'",
        DateStyle="ISO, MDY",
        TimeZone="Europe/Berlin",
        extra_float_digits="2",
        application_name="PostgreSQL JDBC Driver",
        search_path="public",
        IntervalStyle="ISO_8601",
    )
    assert request.user == "alice"
    assert request.database == "acme"
    assert dict(request.parameters) == {
        "client_encoding": "UTF8",
        "DateStyle": "iso, mdy",
        "TimeZone": "Europe/Berlin",
        "extra_float_digits": "2",
        "application_name": "PostgreSQL JDBC Driver",
        "IntervalStyle": "iso_8601",
    }


def test_names_have_no_case_and_the_last_value_wins() -> None:
    request = read(options="-c DATESTYLE=german -c extra-float-digits=1", datestyle="iso")
    assert request.parameters["DateStyle"] == "iso"
    assert request.parameters["extra_float_digits"] == "1"


def test_names_have_no_case_but_are_whole() -> None:
    with pytest.raises(StartupRefused, match="time_zone"):
        read(options="--time-zone=UTC")


def test_selections() -> None:
    request = read(options="-c tenantgate.tenant=acme -c tenantgate.auth=oauthbearer")
    assert (request.tenant, request.auth_method) == ("acme", "oauthbearer")
    assert request.parameters == {}
    request = read(**{"tenantgate.tenant": "acme"}, options="-c TenantGate.Tenant=acme")
    assert request.tenant == "acme"
    refused(**{"tenantgate.tenant": "acme"}, options="-c tenantgate.tenant=globex")
    refused(options="-c tenantgate.auth=trust")
    refused(options="-c tenantgate.tenant=a\nb")


@pytest.mark.parametrize("database", ["", None])
def test_no_database(database: str | None) -> None:
    assert read(**({} if database is None else {"database": database})).database is None


@pytest.mark.parametrize(
    ("parameters", "sqlstate"),
    [
        ({"user": ""}, "28000"),
        ({"user": "a" * 64}, "42622"),
        ({"user": "é" * 32}, "42622"),
        ({"user": "a\nb"}, "22023"),
        ({"database": "n" * 68}, "42622"),
        ({"database": "a\x7f"}, "22023"),
        ({"replication": "database"}, "0A000"),
        ({"REPLICATION": "true"}, "0A000"),
        ({"replication": "false"}, "0A000"),
        ({"search_path": "public,"}, "22023"),
        ({"search_path": ""}, "22023"),
        ({"search_path": '"public'}, "22023"),
        ({"search_path": "a b"}, "22023"),
        ({"search_path": "a, '; DROP"}, "22023"),
        ({"search_path": 'a, "b\x1bc"'}, "22023"),
        ({"search_path": "n" * 64}, "22023"),
        ({"search_path": ", ".join("n" * 500)}, "22023"),
        ({"options": "-c app.tenant=globex"}, "08P01"),
        ({"options": "-c session_replication_role=replica -c statement_timeout=0"}, "08P01"),
        ({"options": "-c row_security=off"}, "22023"),
        ({"transaction_isolation": "serializable"}, "08P01"),
        ({"client_min_messages": "debug5"}, "22023"),
        ({"bytea_output": "hex\n"}, "22023"),
        ({"hnsw.ef_search": "10"}, "08P01"),
        ({"standard_conforming_strings": "off"}, "0A000"),
        ({"role": "postgres"}, "08P01"),
        ({"session_authorization": "postgres"}, "08P01"),
        ({"User": "bob"}, "08P01"),
        ({"options": "-c user=bob"}, "08P01"),
        ({"options": "-c options=x"}, "08P01"),
        ({"": "x"}, "08P01"),
        ({"DateStyle": "ISO; DROP"}, "22023"),
        ({"TimeZone": "x'; SET ROLE y"}, "22023"),
        ({"IntervalStyle": "x"}, "22023"),
        ({"extra_float_digits": "4"}, "22023"),
        ({"extra_float_digits": "²"}, "22023"),
        ({"options": "-c ="}, "42601"),
        ({"options": "-c=" * 3000}, "42601"),
    ],
)
def test_refused(parameters: dict[str, str], sqlstate: str) -> None:
    assert refused(**parameters).sqlstate == sqlstate


def test_duplicates_are_refused() -> None:
    with pytest.raises(StartupRefused, match="twice"):
        read_startup(StartupMessage((3, 0), {"user": "a"}, duplicates=("user",)))


def test_application_names_are_cleaned() -> None:
    assert read(application_name="x'; SET a = 'b'; --").parameters["application_name"] == "x'; SET a = 'b'; --"
    assert read(application_name="näme\x1b[31m" + "x" * 100).parameters["application_name"] == ("n?me?[31m" + "x" * 54)


@pytest.mark.parametrize("path", ["public", " PUBLIC ", '"public"', '"$user", public', "$user,public"])
def test_search_paths_that_are_so_anyway(path: str) -> None:
    assert read(search_path=path).parameters == {}
    assert read(search_path=path, options="-c search_path=other").parameters == {}  # the last value wins


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("app", ("app",)),
        (' App ,"Other One",ÄB', ("app", "Other One", "Äb")),
        ('"say ""x""", public', ('say "x"', "public")),
        ("public, public", ("public", "public")),
        ("a;b, c'd", ("a;b", "c'd")),
        ('PUBLIC, "PUBLIC"', ("public", "PUBLIC")),
    ],
)
def test_other_search_paths_are_for_the_login_to_decide(path: str, names: tuple[str, ...]) -> None:
    assert read(options="-c search-path=" + path.replace(" ", "\\ ")).parameters == {"search_path": path}
    assert split_path(path) == names


def test_strings_are_read_as_the_standard_says() -> None:
    assert read(standard_conforming_strings="on").parameters == {}


def test_time_outs_and_switches_that_drivers_bring() -> None:
    """node-postgres sends its time-outs so, SQLAlchemy's advice for asyncpg is jit."""
    asked = {"statement_timeout": "5000", "lock_timeout": "3 s", "jit": "OFF", "default_transaction_read_only": "on"}
    assert read(**asked).parameters == asked | {"jit": "off"}
    assert read(options="-c idle_in_transaction_session_timeout=1min").parameters == {
        "idle_in_transaction_session_timeout": "1min"
    }


def test_what_may_be_set_later_may_be_brought() -> None:
    asked = {"client_min_messages": "notice", "bytea_output": "escape", "default_transaction_isolation": "serializable"}
    assert read(**asked).parameters == asked


@pytest.mark.parametrize(
    "parameters",
    [{"statement_timeout": "-1"}, {"statement_timeout": "5'; --"}, {"lock_timeout": ""}, {"jit": "maybe"}],
)
def test_time_outs_and_switches_that_are_none(parameters: dict[str, str]) -> None:
    with pytest.raises(StartupRefused) as refused:
        read(**parameters)
    assert refused.value.sqlstate == "22023"
