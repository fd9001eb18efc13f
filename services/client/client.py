"""A client of one gateway: every operation of its API as a method, and `wait`."""

from __future__ import annotations

from types import TracebackType
from typing import Self

import httpx

from millmark.services.client.errors import ProblemError, RecordRefusedError, RecordWaitingError
from millmark.services.client.methods import AllMethods
from millmark.services.client.shapes import RecordStatus

_POLLED_S = (0.1, 2.0)
"""Between two looks at a record: the first pause, and the longest."""
_STUCK = {
    "paused": "an operator paused it: `millmark outbox resume`",
    "blocked": "an earlier record of the company failed: `millmark outbox list`",
}


class Client(AllMethods):
    """Calls a gateway for one company. Usable as a context manager; one thread at a time.

    Methods that record return as soon as the gateway has stored the record; `wait` returns when it is final. Each call
    has an Idempotency-Key, `key`, which its retries keep; give your own to repeat a call after a crash.
    """

    def wait(self, record: RecordStatus, timeout_s: float = 120.0) -> RecordStatus:
        """Waits until a record is final and the gateway's index shows it, and returns its status. A credential without
        the scope `status` cannot wait for the index. Raises RecordRefusedError if the contract refused it, and
        RecordWaitingError if it waits for a person or is not final in time; it then stays stored, and will be sent."""
        deadline = self.retries.clock() + timeout_s
        pause, longest = _POLLED_S
        while not record["done"] or not self._is_indexed(record):
            if record["state"] in _STUCK:
                raise _waiting(record, f"is {record['state']}", _STUCK[record["state"]])
            if self.retries.clock() > deadline:
                raise _waiting(record, f"is {record['state']} after {timeout_s:g} s", "it is stored and will be sent")
            self.retries.sleep(pause)
            pause = min(longest, pause * 1.5)
            record = self.get_record(record["id"])
        refusal = record["refusal"]
        if refusal is not None:
            raise RecordRefusedError(record["id"], refusal["name"], refusal["values"], refusal["detail"])
        if record["state"] != "final":
            raise _waiting(record, f"is {record['state']}", "nothing was recorded")
        return record

    def _is_indexed(self, record: RecordStatus) -> bool:
        """Whether the index has it: what the next call reads there must not be older than this record."""
        if record["state"] != "final" or record["sequence"] is None:
            return True
        try:
            index = self.get_status()["index"]
        except ProblemError as refused:
            if refused.status == httpx.codes.FORBIDDEN:  # this credential may not read it, so it cannot wait for it
                return True
            raise
        if index is None:
            return False
        found = index["registry_sequence"] if record["contract"] == "registry" else index["ledger_sequence"]
        return found >= record["sequence"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _waiting(record: RecordStatus, what: str, hint: str) -> RecordWaitingError:
    return RecordWaitingError(
        record["id"], record["state"], f"record {record['id']} ({record['kind']}) {what}", hint=hint
    )
