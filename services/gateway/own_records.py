"""What a gateway records by itself, for the company that runs it: the heads of its audit log, which a thread anchors on
the ledger, and what follows from causes.

The heads are entries of an evidence stream in the private book. The anchor is queued in the same transaction as the
entries, so a crash leaves both or neither, and a queued anchor is sent after a restart.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from structlog.typing import FilteringBoundLogger

from millmark.ledger import merkle, records, signatures
from millmark.ledger.chain import Chain
from millmark.ledger.errors import ChainUnreachableError, SettingsError
from millmark.ledger.evidence import SALT_BYTES, EvidenceEntry, LeafKind, build_leaf_data
from millmark.ledger.store import Book, Connection, Rows, Store
from millmark.ledger.store.rows import StreamRow
from millmark.services.audit import AuditLog, verify
from millmark.services.gateway.http.problems import TryLaterError
from millmark.services.gateway.recording import Recorder
from millmark.services.gateway.recording.repository import RecordingRow, describe_subjects
from millmark.services.planning.feedback import repository, watching
from millmark.services.planning.feedback.causes import MachineCause
from millmark.services.planning.feedback.taking import Replacer, SetpointProposer, name_report, report_event
from millmark.services.planning.reading import PlanningTables, reading, writing
from millmark.services.serving.loop import Loop, Looped

_LOOK_S: Final = 5.0
"""Time between two checks of the log's length."""
_MAX_AT_ONCE: Final = 50 * verify.MAX_MARKS
"""Log entries under one anchor; a larger backlog needs several."""


@dataclass(frozen=True, slots=True)
class AnchorRule:
    """When the audit log's head is anchored: after `entries` new entries or `seconds` seconds, whichever comes
    first."""

    stream: bytes
    """Subject of the evidence stream that holds the audit log's heads. The company owns it and uses it for nothing
    else."""
    entries: int
    seconds: int


class AuditAnchors(Looped):
    """Anchors one audit log. The background thread calls `step` repeatedly."""

    def __init__(
        self,
        store: Store,
        recorder: Recorder,
        audit: AuditLog,
        rule: AnchorRule,
        clock: Callable[[], int],
        logger: FilteringBoundLogger,
        verify: Callable[[], object],
    ) -> None:
        """`verify` raises SettingsError unless the stream is the company's; it is called until it returns, as the node
        may have been away at the start, when the command compares."""
        self._store, self._recorder, self._audit, self._rule = store, recorder, audit, rule
        self._clock, self._verify, self._verified = clock, verify, False
        failed = "anchoring of the audit log failed"
        self.loop = Loop("millmark-audit-anchors", self._round, logger, failed=failed, retry_s=_LOOK_S)

    def _round(self) -> float:
        """Catches up without pauses when the log is far ahead."""
        try:
            return 0.0 if self.step() else _LOOK_S
        except TryLaterError:  # the outbox is still being compared with the ledger, which is not a failure
            return _LOOK_S
        except ChainUnreachableError:  # nothing can be compared or sent; the thread that sends tells it
            return _LOOK_S

    def step(self) -> bool:
        """Queues an anchor if one is due, and returns whether it did. Raises StoreError, AuditError, ChainError, and
        SettingsError as long as the stream is not the company's."""
        if not self._verified:
            # Before anything is written: heads in a stream that cannot be anchored would have to be told apart later.
            self._verify()
            self._verified = True
        with self._store.reading() as connection:
            book = Book(connection)
            # The book tells how far the log is anchored: no other place has to be kept in step with it.
            size = book.evidence_size(self._rule.stream)
            latest = book.latest_evidence(self._rule.stream)
        before = None if latest is None else verify.parse_head(latest)
        after, kept_at = (0, 0) if before is None else (before.last, before.time)
        new = verify.read_last_number(self._audit.folder) - after
        # Without new entries there is nothing to anchor, however long ago the last anchor was.
        if new <= 0 or (new < self._rule.entries and self._clock() - kept_at < self._rule.seconds):
            return False
        self._recorder.verify_current()
        first, hashes = verify.read_hashes(self._audit.folder, after, _MAX_AT_ONCE)
        self._audit.flush()  # what is anchored must survive a power failure
        parts = range(0, len(hashes), verify.MAX_MARKS)
        return self._queue(
            size, [verify.build_head(first + at, hashes[at : at + verify.MAX_MARKS], self._clock()) for at in parts]
        )

    def _queue(self, size: int, heads: Sequence[verify.AnchoredHead]) -> bool:
        stream = self._rule.stream
        entries = [_entry(size + n, head) for n, head in enumerate(heads)]
        with self._store.transaction() as connection:
            # The leaves were numbered from `size`, read before the transaction: compared again inside it.
            book = Book(connection)
            if book.evidence_size(stream) != size:
                return False  # another gateway on this database was faster
            book.add_evidence(stream, entries)
            whole = size + len(entries)
            anchor = records.Anchor(stream, whole, merkle.Tree(book.leaves(stream, whole)).root())
            # Derived from the size, so that two gateways that reach the same size cannot queue two anchors.
            key = f"audit/anchor/{stream.hex()}/{whole:013d}"
            self._recorder.queue_in(connection, RecordingRow(key, 0, describe_subjects([stream])), anchor)
        self._recorder.wake()
        return True


def verify_audit_stream(chain: Chain, stream: bytes, participant: int | None) -> None:
    """Verifies that the stream is on the ledger and belongs to the participant. Raises SettingsError or ChainError."""
    found = chain.read_struct(records.Contract.LEDGER, "streamOf", stream)
    if found["sequence"] == 0:
        raise SettingsError("audit_stream is not on the ledger", hint="open the stream first, or correct its subject")
    if participant not in (None, found["owner"]):
        raise SettingsError("audit_stream belongs to another company", hint="use a stream of your own")


def read_anchored(store: Store, stream: bytes) -> int:
    """Number of the last log entry that an anchor in the index covers, so a final one; 0 if there is none. Raises
    StoreError, AuditError."""
    with store.reading() as connection:
        row = Rows(connection).get(StreamRow, stream)
        found = None if row is None or not row.size else Book(connection).evidence_entry(stream, row.size - 1)
    return 0 if found is None else verify.parse_head(found.entry).last


def _entry(index: int, head: verify.AnchoredHead) -> EvidenceEntry:
    salt, value = secrets.token_bytes(SALT_BYTES), head.to_json()
    leaf = merkle.leaf_hash(build_leaf_data(LeafKind.AUDIT, salt, value))
    return EvidenceEntry(index, salt, value, leaf, LeafKind.AUDIT)


# The thread that closes the loop for the company that runs the gateway: causes lead to steps, and to other plans.
#
# All of a step is written in one transaction with the records that it queues (millmark.services.planning.feedback), so
# a gateway that is cut off anywhere, or restarted, takes it once.

_FEEDBACK_LOOK_S: Final = 2.0
"""Time between two looks."""


class Feedback(Looped):
    """Feedback of one company. The background thread calls `step` repeatedly; routes call the rest."""

    def __init__(
        self,
        store: Store,
        recorder: Recorder,
        owner: int,
        signer: signatures.Signer,
        setpoints: SetpointProposer,
        clock: Callable[[], int],
        logger: FilteringBoundLogger,
        *,
        captured: bool = False,
        drift_notes: bool = False,
    ) -> None:
        self._store, self._recorder, self._me, self._clock = store, recorder, owner, clock
        self._setpoints, self._captured = setpoints, captured
        self._drift_notes, self._logger = drift_notes, logger
        self._replacer = Replacer(store, owner, self._queue, signer)
        self.loop = Loop("millmark-feedback", self._round, logger, failed="feedback failed", retry_s=_FEEDBACK_LOOK_S)

    def step(self) -> bool:
        """Takes in what is new, and makes one plan that is due. Returns whether there was anything to do."""
        with reading(self._store) as tables:
            if self._watcher(tables).is_idle():
                return False
        self._recorder.verify_current()
        with writing(self._store) as tables:
            found = self._watcher(tables).look()
        self._search()
        replaced = self._replacer.replace_next(self._clock())
        self._recorder.wake()
        return replaced or found > 0

    def has_reported(self, form: str) -> bool:
        """Whether a form with this name was reported."""
        return self._recorder.find(name_report(form)) is not None

    def report(self, machine: int, kind: str, text: str, form: str = "") -> repository.CauseRow:
        """Takes in what the company says of its own machine, with an entry of the machine's stream as evidence.
        `form`: the name of the form that says so, if one does; two of one name are never taken in. Raises
        CauseRefusedError, and InputError for a machine without a stream."""
        self._recorder.verify_current()
        with writing(self._store) as tables:
            now_s, captured = self._clock(), self._captured
            cause: MachineCause = report_event(
                tables, self._me, machine, kind, text, now_s, self._queue, captured=captured, form=form
            )
            row = self._watcher(tables).report(cause)
        self._recorder.wake()
        return row

    def dismiss(self, name: bytes, reason: str) -> None:
        """Raises CauseRefusedError."""
        self._recorder.verify_current()
        with writing(self._store) as tables:
            self._watcher(tables).dismiss(name, reason)
        self._recorder.wake()

    def repair(self, machine: int, reason: str, *, overhauled: bool = False) -> None:
        """Raises CauseRefusedError."""
        self._recorder.verify_current()
        with writing(self._store) as tables:
            self._watcher(tables).repair(machine, reason, overhauled=overhauled)
        self._recorder.wake()

    def _search(self) -> None:
        """Looks for settings while others may write, and then goes on with their steps."""
        with reading(self._store) as tables:
            causes = self._watcher(tables).to_search()
        if causes:
            self._setpoints.search(causes, self._clock())
            with writing(self._store) as tables:
                self._watcher(tables).look()

    def _round(self) -> float:
        try:
            return 0.0 if self.step() else self.loop.idle(_FEEDBACK_LOOK_S)
        except TryLaterError:  # the outbox is still being compared with the ledger, which is not a failure
            return _FEEDBACK_LOOK_S

    def _watcher(self, tables: PlanningTables) -> watching.Watcher:
        given = self._me, self._queue, self._setpoints, self._clock(), self._captured
        return watching.Watcher(tables, *given, self._drift_notes, self._logger)

    def _queue(self, connection: Connection, key: str, record: records.Record) -> None:
        self._recorder.queue_in(connection, RecordingRow(key, self._me, describe_subjects([])), record)
