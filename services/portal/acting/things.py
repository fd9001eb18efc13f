"""What an act is about: one thing, as the index has it, with the facts from which a form was made."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

from millmark.ledger.errors import NotFoundError
from millmark.ledger.provenance.reader import Reader
from millmark.ledger.records import (
    AssignmentState,
    CertificateState,
    LotState,
    ModelState,
    OrderState,
)
from millmark.ledger.store.rows import AssignmentRow, CertificateRow, LotRow, MachineRow, ModelRow, OrderRow
from millmark.services.setpoints.repository import SetpointRow

__all__ = ["MAX_SEEN", "STATES", "About", "Changed", "Filled", "Row", "Scene", "Thing", "find_thing", "parse_seen"]

Row: TypeAlias = "OrderRow | LotRow | AssignmentRow | CertificateRow | MachineRow | ModelRow | SetpointRow"
Filled: TypeAlias = "Mapping[str, Sequence[str]]"
"""What was sent: values by the names of the fields."""
MAX_SEEN = 1024
"""Most characters of the facts that a form carries."""
_MOST_NUMBER = 2**40


class About(enum.Enum):
    """The kind of thing that an act is about, by its name in pages' addresses."""

    NOTHING = ""
    ORDER = "orders"
    LOT = "lots"
    ASSIGNMENT = "assignments"
    CERTIFICATE = "certificates"
    MACHINE = "machines"
    MODEL = "models"
    SETPOINT = "setpoints"

    @property
    def is_subject(self) -> bool:
        """Whether it is named by a subject; others by a number."""
        return self in (About.ORDER, About.LOT)


STATES: Mapping[type, type[enum.IntEnum]] = {
    OrderRow: OrderState,
    LotRow: LotState,
    AssignmentRow: AssignmentState,
    CertificateRow: CertificateState,
    ModelRow: ModelState,
}
_ROWS: Mapping[About, type[Row]] = {
    About.ORDER: OrderRow,
    About.LOT: LotRow,
    About.ASSIGNMENT: AssignmentRow,
    About.CERTIFICATE: CertificateRow,
    About.MACHINE: MachineRow,
    About.MODEL: ModelRow,
    About.SETPOINT: SetpointRow,
}
_FACTS: Mapping[type, tuple[str, ...]] = {
    OrderRow: ("finished", "live", "coordinator", "due_at", "quantity", "claims_root"),
    LotRow: ("quantity", "custodian", "counterparty", "offer", "order", "parent", "certificate", "reworked"),
    AssignmentRow: ("machine", "stream", "leaf_index"),
    CertificateRow: ("opening_deadline", "revoked_at"),
    MachineRow: ("retired_at",),
    ModelRow: ("open",),
    SetpointRow: ("until",),
}
"""What of a row can change and bears on what somebody decides about it, besides its state."""


@dataclass(frozen=True, slots=True)
class Changed:
    """A fact that is no longer what it was when the form was made."""

    name: str
    before: str
    now: str


@dataclass(frozen=True)
class Thing:
    """`row` is None if the act is about nothing that exists yet."""

    about: About
    row: Row | None
    proposal: int | None = None
    """The proposal that an act agrees to, 0 if there is none now; None for acts that agree to none."""

    @property
    def subject(self) -> bytes | None:
        return self.row.subject if isinstance(self.row, OrderRow | LotRow | MachineRow) else None

    @property
    def key(self) -> str:
        """By what it is named in addresses of pages."""
        if self.row is None:
            return ""
        if isinstance(self.row, OrderRow | LotRow):
            return self.row.subject.hex()
        return str(self.row.number if isinstance(self.row, MachineRow | ModelRow | SetpointRow) else self.row.sequence)

    @property
    def path(self) -> str:
        """Its page; that of the order for an assignment."""
        if self.about is About.ASSIGNMENT and isinstance(self.row, AssignmentRow):
            return f"/portal/orders/{self.row.order.hex()}"
        if isinstance(self.row, SetpointRow):
            return f"/portal/process?machine={self.row.machine}"
        return "/portal" if self.row is None else f"/portal/{self.about.value}/{self.key}"

    @property
    def query(self) -> dict[str, str]:
        """The parameter that names it in the address of a form."""
        return {} if self.row is None else {"subject" if self.about.is_subject else "id": self.key}

    @cached_property
    def facts(self) -> dict[str, str]:
        """What bears on a decision about it, by name."""
        if self.row is None:
            return {}
        kind = STATES.get(type(self.row))
        facts = {} if kind is None else {"state": kind(self.row.state).name}  # type: ignore[union-attr]  # those rows have a state
        for name in _FACTS[type(self.row)]:
            value = getattr(self.row, name)
            facts[name] = value.hex() if isinstance(value, bytes) else "" if value is None else str(int(value))
        # Agreeing to another proposal than the one that was shown must not be possible.
        return facts if self.proposal is None else {**facts, "proposal": str(self.proposal)}

    @property
    def seen(self) -> str:
        """The facts, as a form carries them."""
        return json.dumps(self.facts, separators=(",", ":"))

    def changes(self, seen: str) -> tuple[Changed, ...]:
        """What is no longer as a form has it; with an empty name if the form does not say."""
        before = parse_seen(seen)
        if before is None or before.keys() != self.facts.keys():
            return (Changed("", "", ""),)
        return tuple(Changed(name, before[name], value) for name, value in self.facts.items() if before[name] != value)

    def asked(self, seen: str | None) -> int:
        """The proposal that a form agrees to: the one that it was made from; the present one for a new form."""
        before = None if seen is None else parse_seen(seen)
        said = None if before is None else _number(before.get("proposal", ""))
        return (self.proposal or 0) if said is None else said


@dataclass(frozen=True, slots=True)
class Scene:
    """What a form is made from."""

    reader: Reader
    thing: Thing
    company: int
    """The participant that records; 0 if there is none."""
    filled: Filled = field(default_factory=dict)
    """What the form has: what was sent; of a new one, what its link says."""


def parse_seen(seen: str) -> dict[str, str] | None:
    """None for what no form of this portal has."""
    try:
        found = json.loads(seen) if len(seen) <= MAX_SEEN else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or not all(isinstance(one, str) for one in found.values()):
        return None
    return found


def find_thing(reader: Reader, about: About, subject: str, number: str) -> Thing:
    """Raises NotFoundError for what the index does not have."""
    if about is About.NOTHING:
        return Thing(about, None)
    key = _subject(subject) if about.is_subject else _number(number)
    row = None if key is None else reader.rows.get(_ROWS[about], key)
    if row is None:
        raise NotFoundError(f"the gateway's index has no {about.name.lower()} {(subject or number)[:80]!a}")
    return Thing(about, row)


def _subject(text: str) -> bytes | None:
    try:
        found = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        return None
    return found if len(found) == 32 else None


def _number(text: str) -> int | None:
    if not (text.isascii() and text.isdecimal() and len(text) <= 13):
        return None
    return int(text) if int(text) < _MOST_NUMBER else None
