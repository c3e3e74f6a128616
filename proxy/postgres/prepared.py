"""A session's prepared statements, by the client's names for them.

Definitions take effect when the target confirms them; until then they are visible to the messages pipelined behind
them (`_announced`). Backends know them by other names (statements.py), and are told of them when one is used there.
"""

from __future__ import annotations

from typing import Final

from policy.errors import InvalidStatement, UnsupportedStatement
from proxy.postgres.statements import SharedStatement
from proxy.session import Template

ANY_GENERATION: Final = -2  # of what no policy can make old


class Prepared:
    """A statement as the client prepared it, and what is sent for it. `generation`: of the policy it was judged by.

    shared: what backends know it as; None: as their unnamed statement. told: the RowDescription or NoData that the
    client got when it described the statement, and by which it will read results; told_of: the shared statement that
    this was true of.
    """

    __slots__ = ("generation", "literals", "sent", "shared", "template", "text", "told", "told_of", "types")

    def __init__(self, text: str, types: bytes, template: Template, literals: tuple[str, ...], generation: int) -> None:
        self.shared: SharedStatement | None = None
        self.told: bytes | None = None
        self.told_of: SharedStatement | None = None
        self.text = text
        self.types = types
        self.template = template
        self.literals = literals
        self.sent = template.text(literals)
        self.generation = generation

    @property
    def parsed(self) -> str:
        """What backends know: `sent`, or of a COPY that is several statements the one that takes the data."""
        return self.template.stages[1] if self.template.stages else self.sent


class PreparedStatements:
    """Names to statements. Bounded by `limit` names.

    A request is what ends with a Sync; requests have numbers. What one request announces, the messages behind it in the
    same request may rely on: when it fails they are skipped. Those of the next request may not (`announced_before`).
    """

    __slots__ = ("_announced", "_defined", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._defined: dict[bytes, Prepared] = {}
        self._announced: dict[bytes, tuple[Prepared | None, int]] = {}

    def find(self, name: bytes) -> Prepared:
        """The statement that `name` will mean when the messages before this one have run. Raises 26000."""
        found = self._announced[name][0] if name in self._announced else self._defined.get(name)
        if found is None:
            what = f'prepared statement "{name.decode("utf-8", "replace")}"' if name else "unnamed prepared statement"
            raise InvalidStatement(f"{what} does not exist", sqlstate="26000")
        return found

    def announced_before(self, name: bytes, request: int) -> bool:
        """Whether what `name` means hangs on an answer to an earlier request that has not come yet."""
        announced = self._announced.get(name)
        return announced is not None and announced[1] != request

    def announce(self, name: bytes, prepared: Prepared | None, request: int) -> None:
        """A Parse (or a Close: None) of `name` was sent. Raises 54000 when there are too many."""
        if prepared is not None and len(self._defined) + len(self._announced) >= self.limit:
            raise UnsupportedStatement(
                f"more than {self.limit} prepared statements in one session",
                sqlstate="54000",
                hint="Close (DEALLOCATE) statements that are no longer needed.",
            )
        self._announced[name] = (prepared, request)

    def confirm(self, name: bytes, prepared: Prepared | None, request: int) -> None:
        """The target confirmed what `request` announced."""
        if prepared is None:
            self._defined.pop(name, None)
        else:
            self._defined[name] = prepared
        self.withdraw(name, prepared, request)

    def withdraw(self, name: bytes, prepared: Prepared | None, request: int) -> None:
        """The target skipped it; what a later request announced under the same name stands."""
        announced = self._announced.get(name)
        if announced is not None and announced[0] is prepared and announced[1] == request:
            del self._announced[name]

    def is_announced(self, name: bytes) -> bool:
        """Whether the target has yet to say what `name` is."""
        return name in self._announced

    def replace(self, name: bytes, prepared: Prepared) -> None:
        """The same statement under a newer policy, or one that a lane has prepared."""
        self._defined[name] = prepared

    def is_taken(self, name: bytes) -> bool:
        """Whether `name` stands for something when the messages before have run."""
        if name in self._announced:
            return self._announced[name][0] is not None
        return name in self._defined

    def defined(self, name: bytes) -> Prepared | None:
        """The statement of that name, None when there is none or the target has yet to say."""
        return None if name in self._announced else self._defined.get(name)

    def has_room(self, name: bytes) -> bool:
        """Whether `name` may be defined now."""
        if self._announced:
            return False
        return not name if name in self._defined else len(self._defined) < self.limit

    @property
    def names(self) -> tuple[bytes, ...]:
        """Those that stand for something when the messages before have run, without the unnamed one."""
        return tuple(name for name in {**self._defined, **self._announced} if name and self.is_taken(name))

    def __contains__(self, name: object) -> bool:
        return name in self._defined

    def forget(self, name: bytes) -> None:
        """The target has dropped it."""
        self._defined.pop(name, None)

    def forget_all(self) -> None:
        """The target has dropped all that were defined."""
        self._defined.clear()

    def __len__(self) -> int:
        return len(self._defined)
