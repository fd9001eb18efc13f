"""A background thread that repeats one step until it is stopped, whatever the step raises.

Nothing that a step raises ends the work: an exception is logged and the step repeated; what would end the thread (such
as SystemExit, raised by a library) is logged, and the thread goes on from the start. `trouble` tells whether the thread
does its work, for the readiness of the process.

Beside it: what a process tells of its troubles, and the two that both a gateway and a node watch for, records that
failed and keys that run out of funds.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass

from structlog.typing import FilteringBoundLogger

from millmark.ledger import chain, signatures
from millmark.ledger.errors import MillmarkError, StoreError
from millmark.ledger.store import Store, outbox_records, process_identity
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.submit import Funds, look_at_funds
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


_WITHHELD = "(address withheld)"
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")


def withhold_addresses(text: str) -> str:
    """Removes URLs, because those of chain nodes and databases may contain credentials."""
    return _URL.sub(_WITHHELD, text)


def public_cause(error: MillmarkError) -> str:
    """The cause without addresses of the node and the database, which would reveal the network behind the process."""
    text = withhold_addresses(error.cause)
    # After the database's URL and what is wrong follows the driver's own text, which names hosts, ports, sockets and
    # users, but not as URLs.
    return text.partition(": ")[0] if isinstance(error, StoreError) and text.startswith(_WITHHELD) else text


class FailureLog:
    """Logs a failure only if it differs from the previous one. Not thread-safe."""

    def __init__(self, logger: FilteringBoundLogger, event: str) -> None:
        """`event`: name of the log event."""
        self._logger, self._event = logger, event
        self._latest: tuple[str, str] | None = None

    def note(self, error: Exception) -> tuple[str, str] | None:
        """Logs a failure and returns its code and its cause without addresses; None if it is the same as the previous
        one."""
        found = _describe(error)
        if found == self._latest:
            return None
        unforeseen = None if isinstance(error, MillmarkError) else error
        self._logger.error(self._event, code=found[0], cause=found[1], exc_info=unforeseen)
        self._latest = found  # after logging: if that raised, the next call logs the failure
        if isinstance(error, StoreError):
            return error.code, f"{public_cause(error)}; {error.hint}"
        return found

    def clear(self) -> bool:
        """Call after a success, so that the next failure is logged even if it is the same. Returns whether there was
        one."""
        found, self._latest = self._latest, None
        return found is not None


def _describe(error: Exception) -> tuple[str, str]:
    """Code and cause for the log. An unexpected error is described by its type alone, as its text may contain
    secrets."""
    if isinstance(error, MillmarkError):
        return error.code, withhold_addresses(str(error))
    return "unexpected", withhold_addresses(str(error)) if isinstance(error, OSError) else type(error).__name__


LATE_S = 120.0
"""A step that takes longer counts as stuck. Longer than the timeouts of all calls to nodes and databases."""


class Loop:
    """Repeats a step in a thread. The step returns the seconds until its next run; if it raises, it is run again after
    `retry_s`. A step must be safe to cut off, because a thread that does not stop in time is abandoned."""

    def __init__(
        self,
        name: str,
        step: Callable[[], float],
        logger: FilteringBoundLogger,
        *,
        failed: str,
        retry_s: float,
        stop_s: float = 20.0,
        late_s: float | None = LATE_S,
        event: threading.Event | None = None,
    ) -> None:
        """`failed`: log event for a step that raised. `stop_s`: the longest time that `stop` waits; the default is
        longer than the timeout of a call to a chain node. `late_s`: the longest time that a step may take; None if it
        lasts until the loop is stopped. `event`: the event to wait on, which tests replace to save time."""
        self.name, self._step, self._logger = name, step, logger
        self._failures = FailureLog(logger, failed)
        self._retry_s, self._stop_s, self._late_s = retry_s, stop_s, late_s
        self._wake, self._stopping = event or threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._failing: Trouble | None = None
        """What the latest step raised; None if it succeeded."""
        self._began_s: float | None = None
        """Monotonic time at which the present step began; None between two steps."""
        self.deaths = 0
        """How often the thread died and went on."""
        self.rest_s = 0.0
        """How long the thread rests when there is nothing to do; zero unless a `Pulse` wakes it."""
        self.is_woken = True
        """Whether somebody called `wake` or `stir` since the step before the present one began."""
        self._rests, self._is_stirred = False, True
        self.on_wake: Callable[[], None] | None = None
        """Called by `wake`, for a step that waits in its own way."""

    @property
    def is_stopping(self) -> bool:
        """Whether `stop` was called. A long step checks it and returns early."""
        return self._stopping.is_set()

    def trouble(self) -> Trouble | None:
        """Why the work is not done at present; None if it is, or if the loop was not started or is stopped."""
        thread, began_s, failing = self._thread, self._began_s, self._failing
        if thread is None or self.is_stopping:
            return None
        if not thread.is_alive():
            return self._describe("thread-ended", "the thread has ended", "restart the process, and report its log")
        took_s = 0.0 if began_s is None else time.monotonic() - began_s
        if self._late_s is not None and took_s > self._late_s:
            cause = f"a step has been running for {took_s:.0f} s"
            return self._describe("thread-stuck", cause, "restart the process, and report its log", took_s)
        return failing

    def recover(self) -> None:
        """Says that the work is done again. Called after each step; a step that goes on for ever calls it itself."""
        self._failures.clear()
        self._failing = None

    def start(self) -> None:
        self._failing = self._began_s = self._thread = None
        self._stopping.clear()
        thread = threading.Thread(target=self._live, name=self.name, daemon=True)
        thread.start()
        self._thread = thread  # not before it lives: to who asks for troubles, it would have ended

    def wake(self) -> None:
        """Starts the next step without waiting for its time."""
        self._wake.set()
        if (tell := self.on_wake) is not None:
            tell()

    def idle(self, pause_s: float) -> float:
        """The pause after a step that found nothing to do: `pause_s`, or longer if something stirs the thread when
        there is."""
        self._rests = True
        return max(pause_s, self.rest_s)

    def stir(self) -> None:
        """Starts the next step at once if the thread rests. Other pauses end by themselves: that after a failure is to
        be kept."""
        self._is_stirred = True  # first, so that a step that is about to rest does not miss it
        if self._rests or self.on_wake is not None:
            self.wake()

    def stop(self) -> None:
        """Stops the thread. Returns once it has ended, or after `stop_s`."""
        self._stopping.set()
        self.wake()
        if self._thread is not None:
            self._thread.join(self._stop_s)
            if self._thread.is_alive():
                self._logger.warning("thread left behind", thread=self.name, waited_s=self._stop_s)

    def run(self) -> None:
        """Repeats the step in the caller's thread until `stop` is called."""
        while True:
            self.is_woken = self._wake.is_set() or self._is_stirred
            self._rests = self._is_stirred = False
            self._wake.clear()  # before the check and the step, so that a wake-up during either is not lost
            if self.is_stopping:
                return
            self._began_s = time.monotonic()
            try:
                pause_s = self._step()
                self.recover()
            except Exception as error:  # the thread must survive any failure
                pause_s, self._rests = self._retry_s, False
                self._note(error)
            finally:
                self._began_s = None
            self._wake.wait(0.0 if self._rests and self._is_stirred else pause_s)

    def _note(self, error: Exception) -> None:
        with contextlib.suppress(Exception):  # a logger of ours does not raise; another's must not end the work either
            found = self._failures.note(error)
            if found is not None:
                self._failing = self._describe(*found, getattr(error, "hint", "") or "see the log")

    def _live(self) -> None:
        """Runs the loop, and runs it again if anything ends it that `run` does not expect."""
        self._thread = threading.current_thread()
        while not self.is_stopping:
            try:
                self.run()
            except BaseException as error:  # without this, the thread's work would stop and nothing would tell
                self.deaths += 1
                self._failing = self._describe("thread-died", f"it died of {type(error).__name__}", "see the log")
                self._logger.critical("thread died and goes on", thread=self.name, deaths=self.deaths, exc_info=error)
                self._wake.wait(self._retry_s)

    def _describe(self, code: str, cause: str, hint: str, for_s: float = 0.0) -> Trouble:
        return Trouble(self.name, code, cause, time.time() - for_s, hint)


class Looped:
    """A part of a process that works in a loop of its own, and starts and stops with it."""

    loop: Loop

    def start(self) -> None:
        self.loop.start()

    def stop(self) -> None:
        self.loop.stop()


REST_S = 7.0
"""How long those rest that look at more than the database: less than the ten seconds in which a fault is told."""
LONG_REST_S = 60.0
"""How long those may rest to which everything comes through the database."""
_PULSE_S = 0.5


class Pulse(Looped):
    """The one timer of threads that wait for what is written into the database, by this process or another one, such
    as a command in the same home: it stirs them when something was, and also when a thread gets into trouble."""

    def __init__(self, store: Store, logger: FilteringBoundLogger, watched: Sequence[Loop] = ()) -> None:
        """`watched`: those whose trouble is a reason as well."""
        self._changes, self._watched = store.changes(), watched
        self._stirred: list[Loop] = []
        self._troubles: object = None
        self.loop = Loop("millmark-pulse", self._round, logger, failed="changes not seen", retry_s=_PULSE_S)

    def let_rest(self, rest_s: float, *loops: Loop) -> None:
        """Lets the loops rest for at most `rest_s` seconds while nothing happens. Call it before they start."""
        for one in loops:
            one.rest_s = rest_s
        self._stirred += loops

    def stop(self) -> None:
        self.loop.stop()
        self._changes.close()

    def _round(self) -> float:
        try:
            changed = self._changes.look()
        except StoreError:
            changed = True  # each of them finds out, and tells it as its own
        found = [None if (one := loop.trouble()) is None else one.code for loop in self._watched]
        if changed or found != self._troubles:
            self._troubles = found
            for loop in self._stirred:
                loop.stir()
        return _PULSE_S


# Notices records that failed, or wait for a cancelled one: each is one line in the log, and a trouble until the
# operator deals with it.
#
# A gateway and a node may share a database. Each tells the records of its own keys, and a gateway also those of keys
# for which no process submits any more, such as that of a command that has ended.

_MOST = 1000
"""Failed records that are looked at. More are possible, but no clearer."""


class FailedRecords:
    """Compares the outbox with what it has told before. Not thread-safe."""

    def __init__(
        self,
        outbox: Outbox,
        logger: FilteringBoundLogger,
        count: Callable[[str], object] = lambda _: None,
        *,
        signers: Collection[bytes],
        abandoned: bool = False,
    ) -> None:
        """`count` is called with the kind of each record that failed since the last look. `signers`: the keys of this
        process. `abandoned`: also those for which no process submits any more."""
        self._outbox, self._logger, self._count = outbox, logger, count
        self._signers, self._abandoned = signers, abandoned
        self._told: set[tuple[int, float]] = set()
        """Id and time of each failure; a record that was resumed may fail again."""

    def look(self) -> Trouble | None:
        """Logs the records that failed since the last look; after a start, all that failed before as well. Returns the
        trouble while there are any. Raises StoreError."""
        found = self._outbox.failed(_MOST, self._is_told)
        told, self._told = self._told, {(record.id, record.changed_at_s) for record in found}
        for record in found:
            if (record.id, record.changed_at_s) not in told:
                self._tell(record)
        return _describe_failed(found) if found else None

    def _is_told(self, signer: bytes, holder: str) -> bool:
        return signer in self._signers or (self._abandoned and process_identity.is_gone(holder))

    def _tell(self, record: outbox_records.QueuedRecord) -> None:
        self._count(record.kind)
        self._logger.error(
            "record failed",
            record=record.idempotency_key,
            kind=record.kind,
            signer="0x" + record.signer.hex(),
            code=_code(record),
            cause=record.error or f"waits for {record.depends_on}, which was cancelled",
        )


def _code(record: outbox_records.QueuedRecord) -> str:
    """The contract's error; a record that waits for a cancelled one has none."""
    return record.error_name or "RecordBlocked"


def _describe_failed(found: list[outbox_records.QueuedRecord]) -> Trouble:
    oldest = min(found, key=lambda record: record.changed_at_s)
    count = f"{_MOST} records or more" if len(found) == _MOST else f"{len(found)} record{'s' * (len(found) > 1)}"
    return Trouble(
        "outbox",
        "record-failed",
        f"{count} failed; the first was of kind {oldest.kind}, with {_code(oldest)}",
        oldest.changed_at_s,
        "see `millmark outbox list`; then resume or cancel each",
    )


# Watches the balances of the keys that a process sends with: an alarm before one can no longer pay for gas.

LOW_CODE = "key-funds-low"
_INTERVAL_S = 60.0
_RETRY_S = 10.0


class FundsWatch(Looped):
    """A thread that asks the node for balances once a minute. `trouble` only shows what it found."""

    def __init__(
        self, connect: Callable[[], chain.Chain], store: Store, keys: Sequence[bytes], logger: FilteringBoundLogger
    ) -> None:
        """`connect` returns the chain, and is called until it does: the node may not answer at the start."""
        self._connect = connect
        self._chain: chain.Chain | None = None
        self._store, self._keys = store, list(keys)
        self._since_s: float | None = None
        self._found: Trouble | None = None
        self.loop = Loop("millmark-funds", self._round, logger, failed="balances not seen", retry_s=_RETRY_S)

    def trouble(self) -> Trouble | None:
        """The alarm while a key's balance is low; None if none is, or it was not seen yet."""
        return self._found

    def look(self) -> None:
        """Looks once. Raises ChainError, StoreError."""
        self._chain = self._connect() if self._chain is None else self._chain
        low = describe_low(look_at_funds(self._chain.node, self._chain.profile, self._store, self._keys, time.time()))
        if low is None:
            self._since_s = self._found = None
            return
        self._since_s = time.time() if self._since_s is None else self._since_s
        self._found = Trouble("chain", LOW_CODE, low[0], self._since_s, low[1])

    def _round(self) -> float:
        self.look()
        return _INTERVAL_S


def describe_low(found: Sequence[Funds]) -> tuple[str, str] | None:
    """Which keys run low, and the remedy; None if none does."""
    low = [funds for funds in found if funds.is_low]
    if not low:
        return None
    first = low[0]
    more = f", and {len(low) - 1} more" if len(low) > 1 else ""
    cause = f"key {signatures.to_checksum(first.key)} runs low: {first.describe()}{more}"
    return cause, "top it up: `millmark keys fund --signer` with a key that has funds"
