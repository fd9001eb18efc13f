"""Notices records that failed, or wait for a cancelled one: each is one line in the log, and a trouble until the
operator deals with it.

A gateway and a node may share a database. Each tells the records of its own keys, and a gateway also those of keys
for which no process submits any more, such as that of a command that has ended.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from structlog.typing import FilteringBoundLogger

from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import QueuedRecord
from millmark.ledger.store.process_identity import is_gone
from millmark.services.serving.troubles import Trouble

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
        return _describe(found) if found else None

    def _is_told(self, signer: bytes, holder: str) -> bool:
        return signer in self._signers or (self._abandoned and is_gone(holder))

    def _tell(self, record: QueuedRecord) -> None:
        self._count(record.kind)
        self._logger.error(
            "record failed",
            record=record.idempotency_key,
            kind=record.kind,
            signer="0x" + record.signer.hex(),
            code=_code(record),
            cause=record.error or f"waits for {record.depends_on}, which was cancelled",
        )


def _code(record: QueuedRecord) -> str:
    """The contract's error; a record that waits for a cancelled one has none."""
    return record.error_name or "RecordBlocked"


def _describe(found: list[QueuedRecord]) -> Trouble:
    oldest = min(found, key=lambda record: record.changed_at_s)
    count = f"{_MOST} records or more" if len(found) == _MOST else f"{len(found)} record{'s' * (len(found) > 1)}"
    return Trouble(
        "outbox",
        "record-failed",
        f"{count} failed; the first was of kind {oldest.kind}, with {_code(oldest)}",
        oldest.changed_at_s,
        "see `millmark outbox list`; then resume or cancel each",
    )
