"""A client of one gateway: what companies record and look up there as methods, `wait`, and calls of any other route."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

import httpx

from millmark.ledger.provenance.answers import (
    Assignment,
    Certificate,
    Lot,
    Model,
    OpenedStream,
    Order,
    Participant,
    RegisteredMachine,
    Stream,
)
from millmark.ledger.records import snake_case
from millmark.services.acts import ACTS
from millmark.services.client.errors import ProblemError, RecordRefusedError, RecordWaitingError
from millmark.services.client.transport import Transport
from millmark.services.views import Caller, GatewayStatus, RecordStatus

V = TypeVar("V")

_POLLED_S = (0.1, 2.0)
"""Between two looks at a record: the first pause, and the longest."""
_STUCK = {
    "paused": "an operator paused it: `millmark outbox resume`",
    "blocked": "an earlier record of the company failed: `millmark outbox list`",
}


def _one(view: type[V], path: str) -> Callable[..., V]:
    def ask(gateway: Transport, *parts: object, **query: object) -> V:
        return gateway.get(view, path, *parts, **query)

    return ask


def _all(view: type[V], path: str) -> Callable[..., Iterator[V]]:
    def ask(gateway: Transport, *parts: object, **query: object) -> Iterator[V]:
        return gateway.pages(view, path, *parts, **query)

    return ask


def _record(path: str) -> Callable[..., RecordStatus]:
    def send(gateway: Transport, *parts: object, key: str | None = None, **members: object) -> RecordStatus:
        # All attempts of one call send the same key, so the record is made once.
        return gateway.post(RecordStatus, path, *parts, key=key or str(uuid.uuid4()), **members)

    return send


class Client(Transport):
    """Calls a gateway for one company. Usable as a context manager; one thread at a time.

    A method takes the parts of its route's path in their order, and the members of its body or query by name, as the
    API's own page (`/docs`) lists them; its answer is the gateway's own view. Names are those of the operations, with
    `iterate_` in place of `list` for all pages of a list. `get`, `pages` and `post` call every other route.

    Methods that record return as soon as the gateway has stored the record; `wait` returns when it is final. Each call
    has an Idempotency-Key, `key`, which its retries keep; give your own to repeat a call after a crash.
    """

    get_order = _one(Order, "/v1/orders/{}")
    get_assignment = _one(Assignment, "/v1/assignments/{}")
    get_lot = _one(Lot, "/v1/lots/{}")
    get_stream = _one(Stream, "/v1/streams/{}")
    get_record = _one(RecordStatus, "/v1/records/{}")
    get_session = _one(Caller, "/v1/session")
    get_status = _one(GatewayStatus, "/v1/status")

    iterate_orders = _all(Order, "/v1/orders")
    iterate_assignments = _all(Assignment, "/v1/assignments")
    iterate_lots = _all(Lot, "/v1/lots")
    iterate_certificates = _all(Certificate, "/v1/certificates")
    iterate_machines = _all(RegisteredMachine, "/v1/machines")
    iterate_streams = _all(OpenedStream, "/v1/streams")
    iterate_models = _all(Model, "/v1/models")
    iterate_participants = _all(Participant, "/v1/participants")

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Callable[..., RecordStatus]:
            """A method for each act, added below."""

    def wait(self, record: RecordStatus, timeout_s: float = 120.0) -> RecordStatus:
        """Waits until a record is final and the gateway's index shows it, and returns its status. A credential without
        the scope `status` cannot wait for the index. Raises RecordRefusedError if the contract refused it, and
        RecordWaitingError if it waits for a person or is not final in time; it then stays stored, and will be sent."""
        deadline = self.retries.clock() + timeout_s
        pause, longest = _POLLED_S
        while not record.done or not self._is_indexed(record):
            if record.state in _STUCK:
                raise _waiting(record, f"is {record.state}", _STUCK[record.state])
            if self.retries.clock() > deadline:
                raise _waiting(record, f"is {record.state} after {timeout_s:g} s", "it is stored and will be sent")
            self.retries.sleep(pause)
            pause = min(longest, pause * 1.5)
            record = self.get_record(record.id)
        refusal = record.refusal
        if refusal is not None:
            raise RecordRefusedError(record.id, refusal.name, refusal.values, refusal.detail)
        if record.state != "final":
            raise _waiting(record, f"is {record.state}", "nothing was recorded")
        return record

    def _is_indexed(self, record: RecordStatus) -> bool:
        """Whether the index has it: what the next call reads there must not be older than this record."""
        if record.state != "final" or record.sequence is None:
            return True
        try:
            index = self.get_status().index
        except ProblemError as refused:
            if refused.status == httpx.codes.FORBIDDEN:  # this credential may not read it, so it cannot wait for it
                return True
            raise
        if index is None:
            return False
        found = index.registry_sequence if record.contract == "registry" else index.ledger_sequence
        return found >= record.sequence

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


for _act in ACTS.values():
    setattr(Client, snake_case(_act.name), _record(re.sub(r"\{\w+\}", "{}", _act.path)))


def _waiting(record: RecordStatus, what: str, hint: str) -> RecordWaitingError:
    return RecordWaitingError(record.id, record.state, f"record {record.id} ({record.kind}) {what}", hint=hint)
