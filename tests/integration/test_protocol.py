"""The extended and simple query protocols through the gateway, message by message, against a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from admin.demo.schema import SHOP
from proxy.postgres.wire import messages
from tests.harness.demo_business import DemoGateway
from tests.harness.wire_client import FLUSH, SYNC, WireClient, bind, close, describe, execute, parse

REFUSED = "SELECT pg_read_file('PG_VERSION')"


@pytest.fixture
def client(gateway: DemoGateway) -> Iterator[WireClient]:
    with connect(gateway) as connected:
        yield connected


def connect(gateway: DemoGateway, *, user: str = "alice", database: str = "acme", minor: int = 0) -> WireClient:
    connected = WireClient(gateway.port)
    connected.tls()
    answer = connected.log_in(user, database, gateway.tokens[user], minor)
    assert answer.statuses == "I", answer.errors
    return connected


def test_several_statements_in_one_query(client: WireClient) -> None:
    answer = client.query("SELECT 1; SELECT 2; SELECT 'x;y'")
    assert answer.rows == [["1"], ["2"], ["x;y"]]
    assert answer.tags == "TDCTDCTDCZ"


def test_queries_that_are_sent_ahead_may_execute_what_they_prepare(client: WireClient) -> None:
    texts = ("PREPARE ahead AS SELECT 7", "EXECUTE ahead", "DEALLOCATE ahead", "EXECUTE ahead")
    client.send(*(messages.encode_query(text.encode()) for text in texts))
    answer = client.receive(ready=4)
    assert answer.rows == [["7"]]
    assert answer.sqlstates == ["26000"]
    assert answer.statuses == "IIII"


def test_empty_queries(client: WireClient) -> None:
    assert client.query("").tags == "IZ"
    assert client.query(" ; ").tags == "IZ"
    assert client.query("-- nothing").tags == "IZ"


def test_an_error_position_is_in_the_clients_text(client: WireClient) -> None:
    sql = "SELECT id, nonsense FROM orders"
    answer = client.query(sql)
    assert answer.sqlstates == ["42703"]
    assert answer.errors[0]["P"] == str(sql.index("nonsense") + 1)


def test_error_positions_with_other_literals_of_the_same_shape(client: WireClient) -> None:
    for literal in ("1", "100000"):
        sql = f"SELECT {literal}, id, nonsense FROM orders"
        assert client.query(sql).errors[0]["P"] == str(sql.index("nonsense") + 1)


def test_a_refused_statement_refuses_its_whole_query_string(client: WireClient) -> None:
    answer = client.query(f"SELECT 1; {REFUSED}")
    assert answer.tags == "EZ"
    assert answer.statuses == "I"
    assert "H" in answer.errors[0]


def test_a_refused_statement_aborts_the_transaction(client: WireClient) -> None:
    assert client.query("BEGIN").statuses == "T"
    assert client.query(REFUSED).statuses == "E"
    assert client.query("SELECT 1").sqlstates == ["25P02"]
    assert client.query("COMMIT").statuses == "I"


def test_parse_bind_describe_execute(client: WireClient) -> None:
    client.send(
        parse("s", "SELECT id, $1::text FROM orders WHERE id = $2 ORDER BY id LIMIT 1"), describe("S", "s"), SYNC
    )
    described = client.receive()
    assert described.tags == "1tTZ"
    parameters = next(m for tag, m in described.messages if tag == "t")
    assert parameters[5:7] == b"\0\2", "the gateway adds no parameters of its own"
    client.send(bind("", "s", "x", "-1"), describe("P"), execute(), SYNC)
    assert client.receive().tags == "2TCZ"


def test_a_pipeline_of_requests(client: WireClient) -> None:
    for number in range(50):
        client.send(parse("", f"SELECT {number}"), bind("", ""), execute(), SYNC)
    answer = client.receive(ready=50)
    assert not answer.errors
    assert answer.rows == [[str(number)] for number in range(50)]


def test_an_error_skips_to_sync_and_the_next_request_works(client: WireClient) -> None:
    client.send(parse("", "SELECT 1/0"), bind("", ""), execute(), parse("", "SELECT 2"), bind("", ""), execute(), SYNC)
    client.send(parse("", "SELECT 3"), bind("", ""), execute(), SYNC)
    answer = client.receive(ready=2)
    assert answer.sqlstates == ["22012"]
    assert answer.rows == [["3"]]
    assert answer.statuses == "II"


def test_a_refusal_skips_to_sync_and_undoes_what_came_before(client: WireClient) -> None:
    note = "protocol-refusal"
    insert = f"INSERT INTO notes (customer_id, body) SELECT min(id), '{note}' FROM customers"
    client.send(parse("", insert), bind("", ""), execute(), parse("", REFUSED), bind("", ""), execute(), SYNC)
    answer = client.receive()
    assert answer.tags.endswith("EZ"), answer.errors
    assert answer.sqlstates == ["42501"]
    assert client.query(f"SELECT count(*) FROM notes WHERE body = '{note}'").rows == [["0"]]


def test_a_query_while_the_server_skips_is_ignored(client: WireClient) -> None:
    client.send(parse("", REFUSED), FLUSH)
    assert client.receive(until="E").tags == "E"
    client.send(messages.encode_query(b"SELECT 1"), SYNC)
    assert client.receive().tags == "Z"


def test_portals_with_row_limits(client: WireClient) -> None:
    client.send(parse("", "SELECT g FROM generate_series(1, 5) g"), bind("p", ""))
    client.send(execute("p", 2), execute("p", 2), execute("p", 2), SYNC)
    answer = client.receive()
    assert answer.tags == "12DDsDDsDCZ"
    client.send(execute("p"), SYNC)
    assert client.receive().sqlstates == ["34000"], "portals end with their transaction"


def test_named_statements_live_until_they_are_closed(client: WireClient) -> None:
    client.send(parse("s", "SELECT $1::int + 1"), SYNC)
    client.receive()
    for value in ("1", "41"):
        client.send(bind("", "s", value), execute(), SYNC)
        assert client.receive().rows == [[str(int(value) + 1)]]
    client.send(close("S", "s"), SYNC)
    assert client.receive().tags == "3Z"
    client.send(bind("", "s", "1"), execute(), SYNC)
    assert client.receive().sqlstates == ["26000"]


def test_a_skipped_close_leaves_the_statement(client: WireClient) -> None:
    client.send(parse("keep", "SELECT 7"), SYNC)
    client.receive()
    client.send(parse("", "SELECT 1/0"), bind("", ""), execute(), close("S", "keep"), SYNC)
    client.receive()
    client.send(bind("", "keep"), execute(), SYNC)
    assert client.receive().rows == [["7"]]


def test_a_statement_of_another_session_is_not_there(gateway: DemoGateway, client: WireClient) -> None:
    with connect(gateway, user="bob", database="globex") as other:
        other.send(parse("S_1", "SELECT 1"), SYNC)
        other.receive()
        client.send(bind("", "S_1"), execute(), SYNC)
        assert client.receive().sqlstates == ["26000"]


def test_several_commands_in_one_parse(client: WireClient) -> None:
    client.send(parse("", "SELECT 1; SELECT 2"), SYNC)
    assert client.receive().sqlstates == ["42601"]


def test_function_calls_are_refused(client: WireClient) -> None:
    client.send(messages.encode(b"F", b"\0\0\0\x01\0\0\0\0\0\0"))
    answer = client.receive()
    assert answer.sqlstates == ["0A000"]
    assert answer.statuses == "I"
    assert client.query("SELECT 1").rows == [["1"]]


def test_copy_in_ignores_sync_and_flush(client: WireClient) -> None:
    client.query("BEGIN")
    data = messages.encode_copy_data(b"1\tcopied\n")
    client.send(messages.encode_query(b"COPY notes (customer_id, body) FROM STDIN"), SYNC, FLUSH, data)
    client.send(SYNC, messages.COPY_DONE, messages.encode_query(b"SELECT 1"))
    answer = client.receive(ready=2)
    assert "G" in answer.tags
    assert answer.sqlstates == []
    assert answer.statuses == "TT"
    client.query("ROLLBACK")


def test_a_query_during_copy_in_ends_the_session(client: WireClient) -> None:
    """As on the server, which has lost its place in the stream of messages then."""
    client.send(messages.encode_query(b"COPY notes (customer_id, body) FROM STDIN"), messages.encode_query(b"SELECT 1"))
    answer = client.receive(ready=2)
    assert answer.sqlstates[0] == "08P01"
    assert answer.closed


def test_copy_fail(client: WireClient) -> None:
    client.send(messages.encode_query(b"COPY notes (customer_id, body) FROM STDIN"))
    assert client.receive(until="G").tags == "G"
    client.send(messages.encode_copy_data(b"1\tx\n"), messages.encode_copy_fail("stop"))
    answer = client.receive()
    assert answer.sqlstates == ["57014"]
    assert answer.statuses == "I"


def test_a_copy_that_fails_to_begin_leaves_its_data_ignored(client: WireClient) -> None:
    client.send(
        messages.encode_query(b"COPY nowhere FROM STDIN"), messages.encode_copy_data(b"1\n"), messages.COPY_DONE
    )
    client.send(messages.encode_query(b"SELECT 1"))
    answer = client.receive(ready=2)
    assert answer.sqlstates == ["42P01"]
    assert answer.rows == [["1"]]


def test_copy_through_the_extended_protocol(client: WireClient) -> None:
    client.query("BEGIN")
    client.send(parse("", "COPY notes (customer_id, body) FROM STDIN"), bind("", ""), execute())
    client.send(messages.encode_copy_data(b"1\textended\n"), messages.COPY_DONE, SYNC)
    answer = client.receive()
    assert answer.sqlstates == []
    assert answer.tags.endswith("CZ")
    client.query("ROLLBACK")


def test_bytes_after_terminate_are_not_read(gateway: DemoGateway) -> None:
    with connect(gateway) as connected:
        connected.send(messages.TERMINATE, messages.encode_query(b"UPDATE orders SET status = 'lost'"))
        assert connected.receive().closed
    with connect(gateway) as connected:
        assert connected.query("SELECT count(*) FROM orders WHERE status = 'lost'").rows == [["0"]]


@pytest.mark.parametrize(("minor", "key_bytes"), [(0, 4), (2, 32)])
def test_protocol_versions(gateway: DemoGateway, minor: int, key_bytes: int) -> None:
    with connect(gateway, minor=minor) as connected:
        assert len(connected.key[1]) == key_bytes


def test_a_newer_minor_version_is_negotiated_down(gateway: DemoGateway) -> None:
    with WireClient(gateway.port) as connected:
        connected.tls()
        answer = connected.log_in("alice", "acme", gateway.tokens["alice"], 9999)
        assert answer.tags[0] == "v"
        assert answer.messages[0][1][5:9] == b"\0\3\0\2"
        assert answer.statuses == "I"


def test_unknown_protocol_options_are_named(gateway: DemoGateway) -> None:
    with WireClient(gateway.port) as connected:
        connected.tls()
        answer = connected.log_in("alice", "acme", gateway.tokens["alice"], 0, **{"_pq_.future": "1"})
        assert b"_pq_.future" in answer.messages[0][1]
        assert answer.statuses == "I"


def test_parameter_status_tells_nothing_of_the_gateways_login(gateway: DemoGateway) -> None:
    with WireClient(gateway.port) as connected:
        connected.tls()
        answer = connected.log_in("alice", "acme", gateway.tokens["alice"])
        shown = dict(m[5:-1].decode().split("\0") for tag, m in answer.messages if tag == "S")
        assert shown["session_authorization"] == "alice"
        assert shown["is_superuser"] == "off"
        assert "server_version" in shown


COPY = "COPY notes (customer_id, body) FROM STDIN"
STOLEN = messages.encode_copy_data(b"1\tstolen\tglobex\n")


def stolen_rows(gateway: DemoGateway) -> list[tuple[object, ...]]:
    return gateway.server.execute("SELECT tenant_id FROM notes WHERE body = 'stolen'", SHOP)


def test_a_copy_cannot_be_run_by_sql_execute(gateway: DemoGateway, client: WireClient) -> None:
    client.send(parse("s", COPY), SYNC)
    client.receive()
    client.send(messages.encode_query(b"EXECUTE s"), STOLEN, messages.COPY_DONE)
    assert client.receive().sqlstates == ["0A000"]
    assert stolen_rows(gateway) == []


def test_a_copy_under_a_portal_that_failed_to_change_takes_no_data(gateway: DemoGateway, client: WireClient) -> None:
    """The portal `p` stays the COPY on the target, whatever a Bind that failed meant to make of it."""
    client.query("BEGIN")
    client.send(parse("cp", COPY), parse("pl", "SELECT 1"), bind("p", "cp"), SYNC)
    client.receive()
    client.query("SAVEPOINT s")
    client.send(bind("p", "pl"), SYNC)
    assert client.receive().sqlstates == ["42P03"]
    client.query("ROLLBACK TO s")
    client.send(execute("p"), STOLEN, messages.COPY_DONE, SYNC)
    client.receive()
    assert stolen_rows(gateway) == []


def test_a_refused_query_undoes_an_extended_request_without_sync(client: WireClient) -> None:
    insert = "INSERT INTO notes (customer_id, body) SELECT min(id), 'unsynced' FROM customers"
    client.send(parse("", insert), bind("", ""), execute(), FLUSH)
    assert client.receive(until="C").tags == "12C"
    client.send(messages.encode_query(REFUSED.encode()))
    assert client.receive().sqlstates == ["42501"]
    assert client.query("SELECT count(*) FROM notes WHERE body = 'unsynced'").rows == [["0"]]


def test_sql_and_protocol_share_the_names_of_statements(client: WireClient) -> None:
    client.send(parse("s", "SELECT 1"), SYNC)
    client.receive()
    assert client.query("DEALLOCATE s").sqlstates == []
    client.send(bind("", "s"), execute(), SYNC)
    assert client.receive().sqlstates == ["26000"]
    client.send(parse("t", "SELECT 2"), SYNC)
    client.receive()
    assert client.query("EXECUTE t").rows == [["2"]]
    client.query("DEALLOCATE ALL")
    client.send(bind("", "t"), execute(), SYNC)
    assert client.receive().sqlstates == ["26000"]


def test_cursors_of_sql_can_be_used_by_protocol(client: WireClient) -> None:
    client.query("BEGIN")
    client.query("DECLARE c CURSOR FOR SELECT g FROM generate_series(1, 3) g")
    client.send(describe("P", "c"), execute("c", 2), SYNC)
    assert client.receive().rows == [["1"], ["2"]]
    client.query("COMMIT")


def test_thousands_of_pipelined_messages(client: WireClient) -> None:
    parse_one = parse("", "SELECT 1")
    client.send(messages.encode_query(b"SELECT pg_sleep(0.3)"))
    client.send(*([parse_one] * 20_000), SYNC)
    answer = client.receive(ready=2, timeout_s=30)
    assert answer.tags.count("1") == 20_000
    assert answer.statuses == "II"


def long_select(rows: int) -> str:
    """Compiled off the event loop: longer than any text that is compiled at once."""
    return "SELECT count(*) FROM (VALUES " + ", ".join(f"({n}, 'value {n}')" for n in range(rows)) + ") v"


@pytest.mark.parametrize("rows", [600, 3000])
def test_long_texts_keep_their_place_in_the_pipeline(client: WireClient, rows: int) -> None:
    for _ in range(2):
        client.send(*(messages.encode_query(q.encode()) for q in ("SELECT 1", long_select(rows), "SELECT 3")))
        client.send(parse("", long_select(rows)), bind("", ""), execute(), SYNC, messages.encode_query(b"SELECT 5"))
        answer = client.receive(ready=5, timeout_s=30)
        assert answer.errors == []
        assert answer.rows == [["1"], [str(rows)], ["3"], [str(rows)], ["5"]]


def test_long_texts_are_refused_like_short_ones(client: WireClient) -> None:
    client.query("BEGIN")
    assert client.query(long_select(1000) + ", pg_ls_dir('.')").sqlstates == ["42501"]
    assert client.query("ROLLBACK").statuses == "I"
    assert client.query(long_select(1000) + " WHERE nonsense").sqlstates == ["42703"]


def test_a_client_that_leaves_while_its_text_is_compiled(gateway: DemoGateway, client: WireClient) -> None:
    for _ in range(3):
        with connect(gateway) as leaving:
            leaving.send(messages.encode_query(long_select(5000).encode()))
    assert client.query("SELECT 1").rows == [["1"]]


def test_others_are_served_while_a_long_text_is_compiled(gateway: DemoGateway, client: WireClient) -> None:
    with connect(gateway, user="bob", database="globex") as other:
        client.send(messages.encode_query(long_select(20_000).encode()))
        served = 0
        client.sock.settimeout(0.001)
        while not client.receive(timeout_s=0.001).messages:
            assert other.query("SELECT 1").rows == [["1"]]
            served += 1
        assert served > 3
