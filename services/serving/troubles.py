"""Troubles: what stopped working in a process, in the form that `/ready` and the log show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from millmark.ledger.store import Store
from millmark.services.serving.logs import STANDARD_ERROR

HEAD_S = 120.0
"""Time without a new block that is an alarm, on engines where blocks come by themselves."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that does not work at present."""

    where: str
    """The part of the process: a thread's name, `database`, `outbox`, `audit`, `chain`, `log`."""
    code: str
    cause: str
    since_s: float
    """When it was first seen, in seconds since 1970."""
    hint: str = ""
    """The remedy; empty if it ends by itself."""


def describe_readiness(troubles: Sequence[Trouble], alarms: Sequence[Trouble]) -> dict[str, object]:
    """The common part of a readiness report. Any trouble makes the process not ready; an alarm does not, because
    nothing that the process itself could do is failing."""
    return {
        "status": "not ready" if troubles else "ready",
        "troubles": [asdict(one) for one in troubles],
        "alarms": [asdict(one) for one in alarms],
    }


def describe_damage(store: Store) -> list[Trouble]:
    """The trouble of a database in which damage was met, also if the latest reads succeeded. It lasts until a restart,
    which looks at all of the database."""
    if store.damage is None:
        return []
    cause = "a part of the database is damaged; requests that need it are refused"
    return [Trouble("database", store.damage.code, cause, store.damaged_at_s, store.damage.hint)]


def log_alarms() -> list[Trouble]:
    """The alarm while log lines cannot be written. Work goes on, but it is not told what happens."""
    if STANDARD_ERROR.failing_since_s is None:
        return []
    cause = f"{STANDARD_ERROR.lost} lines could not be written to standard error"
    return [Trouble("log", "log-lost", cause, STANDARD_ERROR.failing_since_s, "see the log's reader and its disk")]
