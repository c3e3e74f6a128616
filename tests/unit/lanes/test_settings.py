"""A session's settings through transactions, compared with what a server does."""

from __future__ import annotations

from policy.sql.plan import SettingChange
from proxy.postgres.settings import SessionSettings, Settings, lane_key, setting_statements


def end(settings: SessionSettings, backend: Settings, *, failed: bool = False, committed: bool = True) -> Settings:
    return settings.transaction_ended(backend, "ISO, DMY", failed=failed, committed_last=committed)


def test_a_difference_is_made_of_resets_and_sets() -> None:
    assert setting_statements({"a": "1", "b": "2", "c": "3"}, {"b": "2", "c": "4", "d": "5"}) == [
        "RESET a", "SET c TO 4", "SET d TO 5",
    ]  # fmt: skip


def test_a_change_counts_when_its_transaction_commits() -> None:
    settings = SessionSettings({"datestyle": "'German'"})
    settings.changed((SettingChange("timezone", "'UTC'"),))
    assert settings.current == {"datestyle": "'German'"}
    assert end(settings, settings.current) is settings.current
    assert settings.current == {"datestyle": "'German'", "timezone": "'UTC'"}


def test_half_of_a_date_style_is_carried_with_the_other_half() -> None:
    settings = SessionSettings({})
    settings.changed((SettingChange("datestyle", "'iso'"),))
    assert end(settings, {}) == settings.current == {"datestyle": "'ISO, DMY'"}


def test_a_change_that_is_rolled_back_does_not() -> None:
    start: Settings = {}
    settings = SessionSettings(start)
    settings.changed((SettingChange("timezone", "'UTC'"),))
    settings.rolled_back()
    assert end(settings, start, committed=False) is start
    assert settings.current == {}
    assert not settings.doubtful


def test_a_local_change_is_none() -> None:
    settings = SessionSettings({})
    settings.changed((SettingChange("timezone", "'UTC'", local=True),))
    assert not settings.pending


def test_what_a_savepoint_decides_is_not_guessed() -> None:
    settings = SessionSettings({})
    settings.changed((SettingChange("timezone", "'UTC'"),))
    settings.rolled_back()
    settings.transaction_goes_on()
    assert settings.doubtful
    settings = SessionSettings({})
    settings.changed((SettingChange("timezone", "'UTC'"),))
    settings.rolled_back()  # to a savepoint, pipelined before the COMMIT
    end(settings, {}, committed=True)
    assert settings.doubtful


def test_reset_all_leaves_what_the_session_began_with_to_be_brought_again() -> None:
    settings = SessionSettings({"datestyle": "'German'"})
    settings.changed((SettingChange("timezone", "'UTC'"), SettingChange("", None)))
    there = end(settings, {"datestyle": "'German'"})
    assert there == {}
    assert settings.current == {"datestyle": "'German'"}
    settings.changed((SettingChange("datestyle", None),))
    assert end(settings, {"datestyle": "'German'"}) == {}
    assert settings.current == {"datestyle": "'German'"}


def test_names_of_applications_do_not_part_lanes() -> None:
    assert lane_key({"application_name": "'a'", "timezone": "'UTC'"}) == lane_key({"timezone": "'UTC'"})


def test_a_date_style_comes_without_the_half_of_another_session() -> None:
    assert setting_statements({"datestyle": "'german'"}, {"datestyle": "'iso'"}) == [
        "RESET datestyle",
        "SET datestyle TO 'iso'",
    ]
    assert setting_statements({"datestyle": "'iso'"}, {"datestyle": "'iso'"}) == []
