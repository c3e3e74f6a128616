"""The summary that `make regression` prints."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

from tests.regression.compare import Outcome


def print_summary(outcomes: Sequence[Outcome], limit: int = 40) -> None:
    verdicts = Counter(o.verdict for o in outcomes)
    run = len(outcomes) - verdicts["skipped"]
    print(f"\n{len({o.file for o in outcomes})} files, {run} statements and commands of psql")
    for verdict in ("equal", "both", "refused", "different"):
        print(f"  {verdict:10} {verdicts[verdict]:6} {verdicts[verdict] / max(run, 1):7.2%}")
    matters = [o for o in outcomes if o.verdict == "refused" and o.accepted]
    accepted = sum(o.accepted for o in outcomes)
    print(
        f"  refused of the {accepted} that PostgreSQL accepts: {len(matters)} ({len(matters) / max(accepted, 1):.2%})"
    )
    _print_kinds("refused, by reason", [o for o in outcomes if o.verdict == "refused"], limit)
    _print_kinds("different", [o for o in outcomes if o.verdict == "different"], limit)


def _print_kinds(title: str, outcomes: Sequence[Outcome], limit: int) -> None:
    kinds: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        kinds[f"{outcome.sqlstate} {kind_of(outcome.reason)}"].append(outcome)
    print(f"\n{title}")
    for kind, found in sorted(kinds.items(), key=lambda item: -len(item[1]))[:limit]:
        first = found[0]
        print(f"  {len(found):6}  {kind}    {first.file}:{first.line}")


def kind_of(reason: str) -> str:
    """A message without the names in it."""
    return re.sub(r'"[^"]*"|\d+', "…", reason)[:110]
