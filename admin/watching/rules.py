"""Rules on the stream of audit events: what one event, after those before it, gives reason to tell.

Each rule is a function of an event and the state; it returns sentences. State is plain data, so that it can be kept
with the position in the log, and bounded: what was not seen for long goes first. Times are the events' own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from admin.audit_search.facets import list_of, text_of
from admin.audit_search.totals import day_of
from proxy.config_watch import DAYS, WatchConfig, parse_hours

MAX_USERS: Final = 50_000
MAX_RELATIONS: Final = 1000  # of one user
_OLD_WEIGHT: Final = 0.8  # of the average of a user's days

Event = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Alert:
    """rule: its name. severity: notice, warning or critical. text: one sentence. event: the one that gave rise."""

    rule: str
    severity: str
    text: str
    event: Event


@dataclass(slots=True)
class UserState:
    """What is remembered of one user of one tenant. recent: times of what counts in windows, by rule."""

    first_day: int = 0
    last_time: float = 0.0
    recent: dict[str, list[float]] = field(default_factory=dict)
    relations: dict[str, int] = field(default_factory=dict)  # to the day of the first use
    rows_day: int = 0
    rows_today: int = 0
    rows_average: float = 0.0
    told_day: dict[str, int] = field(default_factory=dict)  # by rule: to be told once a day


class Rules:
    """Lifetime: of one watcher. `users` is its state."""

    def __init__(self, config: WatchConfig, users: dict[str, UserState] | None = None) -> None:
        self._config = config
        self._zone = ZoneInfo(config.time_zone)
        self._hours = parse_hours(config.hours) if config.hours else None
        self.users: dict[str, UserState] = {} if users is None else users

    def take(self, event: Event) -> list[Alert]:
        """What this event gives reason to tell. Events of the log itself give a reason when lines may be missing."""
        if text_of(event, "event") in ("gap", "recovered"):
            return [Alert("log_interrupted", "critical", "events may be missing in the audit log", event)]
        if not text_of(event, "tenant"):
            return []
        user = self._user(event)
        return [*self._logins(event, user), *self._refusals(event, user), *self._canaries(event),
                *self._outside(event, user), *self._first_use(event, user), *self._habit(event, user)]  # fmt: skip

    def _user(self, event: Event) -> UserState:
        name = f"{text_of(event, 'subject')}@{text_of(event, 'tenant')}"
        user = self.users.pop(name, None) or UserState(first_day=day_of(event.get("time")))
        self.users[name] = user  # the last one seen stands last
        user.last_time = _time(event)
        if len(self.users) > MAX_USERS:
            del self.users[next(iter(self.users))]
        return user

    def _logins(self, event: Event, user: UserState) -> Iterator[Alert]:
        if text_of(event, "event") == "login" and text_of(event, "outcome") == "refused":
            yield from self._counted(event, user, "failed_logins", self._config.failed_logins, "logins")

    def _refusals(self, event: Event, user: UserState) -> Iterator[Alert]:
        if text_of(event, "event") == "statement" and text_of(event, "outcome") == "refused":
            yield from self._counted(event, user, "refused_statements", self._config.refused_statements, "statements")

    def _counted(self, event: Event, user: UserState, rule: str, limit: int, what: str) -> Iterator[Alert]:
        """Tells when the limit is reached, and begins to count anew."""
        now = _time(event)
        times = [at for at in user.recent.get(rule, ()) if now - at < self._config.window_s]
        times.append(now)
        user.recent[rule] = times
        if 0 < limit <= len(times):
            user.recent[rule] = []
            said = f"{len(times)} {what} of {_who(event)} were refused within {now - times[0]:.0f} s"
            yield Alert(rule, "warning", said, event)

    def _canaries(self, event: Event) -> Iterator[Alert]:
        if text_of(event, "tenant") in self._config.canary_tenants:
            said = f"{_who(event)}, a canary that nobody has business with: {text_of(event, 'event')}"
            yield Alert("canary", "critical", said, event)
        for relation in sorted(set(list_of(event, "relations")) & set(self._config.canary_relations)):
            yield Alert("canary", "critical", f"{_who(event)} reached the canary {relation}", event)

    def _outside(self, event: Event, user: UserState) -> Iterator[Alert]:
        if self._hours is None or text_of(event, "event") not in ("login", "statement"):
            return
        at = datetime.fromtimestamp(_time(event), self._zone)
        if DAYS[at.weekday()] in self._config.days and self._hours[0] <= at.hour < self._hours[1]:
            return
        if self._once_a_day(event, user, "outside_hours"):
            said = f"{_who(event)} works outside of hours: {at:%A %H:%M} ({self._config.time_zone})"
            yield Alert("outside_hours", "notice", said, event)

    def _first_use(self, event: Event, user: UserState) -> Iterator[Alert]:
        if text_of(event, "outcome") != "ok" or not self._config.learning_days:
            return
        today = day_of(event.get("time"))
        for relation in list_of(event, "relations"):
            if relation in user.relations or len(user.relations) >= MAX_RELATIONS:
                continue
            user.relations[relation] = today
            if today - user.first_day >= self._config.learning_days:
                yield Alert("first_use", "notice", f"{_who(event)} uses {relation} for the first time", event)

    def _habit(self, event: Event, user: UserState) -> Iterator[Alert]:
        if not set(list_of(event, "relations")) & set(self._config.personal) or text_of(event, "outcome") != "ok":
            return
        today, rows = day_of(event.get("time")), event.get("rows")
        if today != user.rows_day:
            _close_day(user, today)
        user.rows_today += rows if isinstance(rows, int) else 0
        limit = max(self._config.habit_least, self._config.habit_factor * user.rows_average)
        if user.rows_today > limit and self._once_a_day(event, user, "personal_reads"):
            usual = f"on average {user.rows_average:.0f}"
            said = f"{_who(event)} read {user.rows_today} rows with personal data today; {usual}"
            yield Alert("personal_reads", "warning", said, event)

    def _once_a_day(self, event: Event, user: UserState, rule: str) -> bool:
        today = day_of(event.get("time"))
        told = user.told_day.get(rule) == today
        user.told_day[rule] = today
        return not told


def _close_day(user: UserState, today: int) -> None:
    """The average over the user's days, those without any reads among them."""
    if user.rows_day:
        user.rows_average = user.rows_average * _OLD_WEIGHT + user.rows_today * (1 - _OLD_WEIGHT)
        user.rows_average *= _OLD_WEIGHT ** min(max(today - user.rows_day - 1, 0), 60)
    user.rows_day, user.rows_today = today, 0


def _time(event: Event) -> float:
    value = event.get("time")
    return float(value) if isinstance(value, int | float) and 0 <= value < 1e11 else 0.0


def _who(event: Event) -> str:
    return f"{text_of(event, 'subject') or '?'} of {text_of(event, 'tenant')}"


def state_as_json(users: Mapping[str, UserState]) -> dict[str, Any]:
    """As it is kept."""
    return {name: {slot: getattr(user, slot) for slot in UserState.__slots__} for name, user in users.items()}


def state_from_json(kept: Mapping[str, Any]) -> dict[str, UserState]:
    """Raises TypeError for what is none."""
    return {name: UserState(**fields) for name, fields in kept.items()}
