"""Cancel keys: ours, unique, and worth nothing in part."""

from __future__ import annotations

import pytest

from proxy.cancel import CancelKeys


@pytest.mark.parametrize("length", [4, 32])
def test_the_exact_pair_finds_its_session(length: int) -> None:
    keys: CancelKeys[str] = CancelKeys()
    pairs = {name: keys.register(name, length) for name in ("first", "second")}
    assert {keys.lookup(*pair) for pair in pairs.values()} == {"first", "second"}
    assert all(0 < pid < 2**31 and len(key) == length for pid, key in pairs.values())
    assert pairs["first"][0] != pairs["second"][0]


def test_anything_else_finds_nothing() -> None:
    keys: CancelKeys[str] = CancelKeys()
    pid, key = keys.register("first", 32)
    other_pid, _ = keys.register("second", 32)
    wrong = bytes([key[0] ^ 1]) + key[1:]
    for attempt in [(pid, wrong), (pid, key[:4]), (pid, b""), (pid, key + b"\0"), (other_pid, key), (0, key)]:
        assert keys.lookup(*attempt) is None


def test_a_key_dies_with_its_session() -> None:
    keys: CancelKeys[str] = CancelKeys()
    pid, key = keys.register("first")
    keys.unregister(pid)
    keys.unregister(pid)
    assert keys.lookup(pid, key) is None
    assert len(keys) == 0


def test_pids_stay_unique_when_the_dice_repeat(monkeypatch: pytest.MonkeyPatch) -> None:
    throws = iter([7, 7, 7, 8])
    monkeypatch.setattr("proxy.cancel.secrets.randbelow", lambda _: next(throws))
    keys: CancelKeys[str] = CancelKeys()
    assert [keys.register(name)[0] for name in ("first", "second")] == [8, 9]
