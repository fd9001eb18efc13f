"""What the portal needs of the gateway that records for the company. millmark.services.gateway.recording.service
supplies it: the portal does not import the gateway."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from pydantic import BaseModel

from millmark.ledger.canonical import Json
from millmark.ledger.errors import InputError
from millmark.ledger.records import Record
from millmark.ledger.store import Connection
from millmark.services.access import Principal

__all__ = ["Asked", "Desk", "FormUsedError", "Preview", "RecordStatus", "Refusal", "Wish"]

Asked = Mapping[str, str | int]
"""Parameters of an operation's path: `subject`, 0x-hex, and `id`."""


class FormUsedError(InputError):
    """The form was sent before, with other entries."""

    code = "form-used"


@dataclass(frozen=True, slots=True)
class Wish:
    """A record that a person asks for with a form."""

    operation: str
    """Operation id of the API."""
    key: str
    """The form's own: however often it is sent, one record is made."""
    asked: Asked
    body: BaseModel


@dataclass(frozen=True, slots=True)
class Preview:
    """A record that is not queued yet, and what stays behind it."""

    record: Record
    identifiers: tuple[str, ...]
    """Identifiers of new things; they are stored in the company's own book."""
    documents: tuple[Json, ...]
    """Documents of which the record has only the root."""


class Refusal(Protocol):
    """Why the contract rejected a record."""

    @property
    def name(self) -> str: ...
    @property
    def values(self) -> Mapping[str, object]: ...
    @property
    def detail(self) -> str: ...


class RecordStatus(Protocol):
    """A record on its way to the ledger (millmark.services.gateway.recording.service)."""

    @property
    def id(self) -> int: ...
    @property
    def kind(self) -> str: ...
    @property
    def contract(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def done(self) -> bool: ...
    @property
    def sequence(self) -> int | None: ...
    @property
    def subjects(self) -> tuple[bytes, ...]: ...
    @property
    def refusal(self) -> Refusal | None: ...
    @property
    def queued_at(self) -> datetime | None: ...
    @property
    def changed_at(self) -> datetime | None: ...


class Desk(Protocol):
    """Records for the company that runs the gateway, as its API does: same bodies, rules, checks and outbox."""

    def may(self, principal: Principal, operation: str) -> bool:
        """Whether the caller may record this: by the rule of the API's route, at a gateway that has a key."""

    def body(self, operation: str) -> type[BaseModel]:
        """The model of the operation's body. Raises KeyError for an operation that does not exist."""

    def parameters(self, operation: str) -> tuple[str, ...]:
        """The parameters in the operation's path: `subject`, `id`, both or none."""

    def company(self, principal: Principal) -> int | None:
        """The participant for which is recorded; None if there is none."""

    def preview(self, wish: Wish, principal: Principal) -> Preview:
        """What would be recorded. Raises InputError, NotFoundError or a subclass for what the API would refuse."""

    def find(self, wish: Wish, principal: Principal) -> int | None:
        """Number of the record that this form led to already, if any."""

    def used(self, operation: str, key: str, principal: Principal) -> int | None:
        """Number of the record that a form with this key led to, whatever its entries were."""

    def record(self, wish: Wish, principal: Principal) -> int:
        """Queues the record and returns its number. A form that was sent before leads to the same record. Raises as
        `preview`, and FormUsedError for a form that was sent with other entries."""

    def seal(self, key: str, principal: Principal, write: Callable[[Connection], Record]) -> int:
        """Queues the record that `write` returns, in the transaction in which that writes what the record is about;
        returns its number. A form that was sent before leads to the same record, and nothing is written. Raises what
        `write` raises, and NoSignerError, OutboxOlderError or TryLaterError before anything is written."""

    def status(self, number: int) -> RecordStatus:
        """Raises NotFoundError."""
