"""Failures of the database as the library's errors: busy, failing, or damaged."""

from __future__ import annotations

from sqlalchemy.exc import DatabaseError, DataError, DBAPIError, OperationalError, ProgrammingError

from millmark.ledger.errors import StoreBusyError, StoreDamagedError, StoreError

_HINT_DAMAGED = (
    "restore a backup; without one, move it away, with the audit log, and start again: the index is rebuilt from the "
    "chain, but names, claims and API keys are lost"
)
_HINT_MISSING = "stop all programs of this home, put the file back or restore a backup, and start again"
_HINT_BUSY = "send it again in a few seconds; if it lasts, find the process that holds the lock"
_BUSY_STATES = frozenset({"55P03", "57014", "53300"})
"""PostgreSQL's codes: lock not available, query cancelled (by a time limit), too many connections."""
_READ_ONLY = "25006"
"""PostgreSQL's state for a write on a standby."""
_HINT_STANDBY = "name the primary in the URL, or both servers and target_session_attrs=read-write"
_DAMAGED_CLASS = "XX0"
"""How PostgreSQL's states for corrupted data and indexes begin; XX000 is an internal error without damage."""
_BUSY_TEXTS = ("database is locked", "database table is locked")
"""SQLite's messages for a lock that was not free in time."""


def explain(url: str, error: BaseException) -> BaseException:
    """The library's error for a failure of the database; any other exception is returned as it is."""
    if not isinstance(error, DatabaseError):
        return error
    cause = " ".join(str(error.orig).split())  # PostgreSQL's messages have several lines
    state = str(getattr(error.orig, "sqlstate", None) or "")
    if state == _READ_ONLY:
        return StoreError(f"{url} takes no writes: {cause}", hint=_HINT_STANDBY)
    if state in _BUSY_STATES or cause in _BUSY_TEXTS:
        return StoreBusyError(f"{url} is in use: {cause}", hint=_HINT_BUSY)
    # SQLite reports damage with the base class itself; the classes below it are for failures of other kinds.
    if _is_damage(error, state):
        return StoreDamagedError(f"{url} is not a usable database: {cause}", hint=_HINT_DAMAGED)
    if isinstance(error, DataError | ProgrammingError):
        return StoreError(f"{url} refuses a statement: {cause}", hint="report this; the database is sound")
    return StoreError(f"{url} cannot be used: {cause}", hint="check that it exists and is not locked")


def explain_exhausted(url: str) -> StoreBusyError:
    """The error for a process whose connections are all in use."""
    return StoreBusyError(f"all connections to {url} are in use", hint=_HINT_BUSY)


def damaged(url: str, finding: str) -> StoreDamagedError:
    """The error for damage that a check found."""
    return StoreDamagedError(f"{url} is damaged: {finding}", hint=_HINT_DAMAGED)


def missing(url: str) -> StoreDamagedError:
    """The error for a database file that no longer has its name although it is open."""
    return StoreDamagedError(f"{url} was removed or replaced while it was in use", hint=_HINT_MISSING)


def _is_damage(error: DBAPIError, state: str) -> bool:
    if state:
        return state.startswith(_DAMAGED_CLASS) and state != "XX000"
    return not isinstance(error, OperationalError | DataError | ProgrammingError)
