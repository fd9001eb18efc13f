"""Field types, and the check of every field at construction."""

from __future__ import annotations

import enum
import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, ClassVar, TypeAlias, get_args, get_origin, get_type_hints

from ledger.errors import RecordError
from ledger.records._enums import Contract


@dataclass(frozen=True, slots=True)
class Signed:
    """Of an integer in two's complement: how many bits."""

    bits: int


I32 = Annotated[int, Signed(32)]
U8 = Annotated[int, 8]
U16 = Annotated[int, 16]
U32 = Annotated[int, 32]
U40 = Annotated[int, 40]
"""Also every time (seconds since 1970), quantity (whole numbers of a unit) and sequence."""
Bytes3 = Annotated[bytes, 3]
"""A unit: UN/ECE Recommendation 20 code, padded with zero bytes."""
Bytes32 = Annotated[bytes, 32]
Address = Annotated[bytes, 20]


class Names(enum.Enum):
    """What a field points to, beside being a number or bytes."""

    PARTICIPANT = "participant"
    MACHINE = "machine"
    MODEL = "model"
    CERTIFICATE = "certificate"
    ASSIGNMENT = "assignment"
    RECORD = "record"
    ORDER = "order"
    LOT = "lot"
    STREAM = "stream"
    CLAIMS = "claims"
    """A claims document, by its root."""


ParticipantNumber = Annotated[int, 32, Names.PARTICIPANT]
MachineNumber = Annotated[int, 40, Names.MACHINE]
ModelNumber = Annotated[int, 40, Names.MODEL]
CertificateNumber = Annotated[int, 40, Names.CERTIFICATE]
AssignmentNumber = Annotated[int, 40, Names.ASSIGNMENT]
RecordNumber = Annotated[int, 40, Names.RECORD]
OrderSubject = Annotated[bytes, 32, Names.ORDER]
LotSubject = Annotated[bytes, 32, Names.LOT]
StreamSubject = Annotated[bytes, 32, Names.STREAM]
ClaimsRoot = Annotated[bytes, 32, Names.CLAIMS]
"""Of these, zero names nothing."""

Value: TypeAlias = "int | bool | bytes | str | tuple[Value, ...] | Mapping[str, Value]"
"""What a contract function returns: arrays are tuples, structs are mappings by field name."""


def optional_subject(subject: bytes) -> bytes | None:
    """None for the 32 zero bytes that the contracts write where there is no order or lot."""
    return subject if any(subject) else None


def snake_case(name: str) -> str:
    """`claimsRoot` -> `claims_root`, `PlaceOrder` -> `place_order`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _fits(value: object, hint: object) -> bool:
    """Whether `value` is exactly of the annotated type: no coercion, so True is no number."""
    if get_origin(hint) is Annotated:
        base, size, *_ = get_args(hint)
        if base is int:
            least, most = _range(size)
            return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
        return isinstance(value, bytes) and len(value) == size
    if get_origin(hint) is tuple:
        item = get_args(hint)[0]
        return isinstance(value, tuple) and all(_fits(entry, item) for entry in value)
    return isinstance(hint, type) and isinstance(value, hint)


def _range(size: int | Signed) -> tuple[int, int]:
    """Least and greatest integer of a type."""
    if isinstance(size, Signed):
        return -(1 << size.bits - 1), (1 << size.bits - 1) - 1
    return 0, (1 << size) - 1


class Checked:
    """Base of frozen dataclasses whose fields are checked against their annotations.

    Raises RecordError when a field has another type or is out of range.
    """

    __slots__ = ()

    def __post_init__(self) -> None:
        hints = _hints(type(self))  # type: ignore[arg-type]  # mypy judges the class by its instances' hash
        for field in fields(self):  # type: ignore[arg-type]  # every subclass is a dataclass
            value = getattr(self, field.name)
            if not _fits(value, hints[field.name]):
                shown = "0x" + value.hex() if isinstance(value, bytes) else repr(value)
                raise RecordError(
                    f"{type(self).__name__}.{field.name} cannot be {shown[:80]}",
                    hint=f"give {_describe(hints[field.name])}",
                )


@functools.cache
def _hints(kind: type) -> dict[str, object]:
    return get_type_hints(kind, include_extras=True)


def _describe(hint: object) -> str:
    if get_origin(hint) is Annotated:
        base, size, *_ = get_args(hint)
        if isinstance(size, Signed):
            return f"a whole number from -2^{size.bits - 1} to 2^{size.bits - 1} - 1"
        return f"a whole number below 2^{size}" if base is int else f"{size} bytes"
    if get_origin(hint) is tuple:
        return f"a tuple of which each is {_describe(get_args(hint)[0])}"
    return f"a {getattr(hint, '__name__', hint)}"


class Record(Checked):
    """One call of a contract function."""

    __slots__ = ()
    contract: ClassVar[Contract]
    event: ClassVar[str]
    """Name of the event that the call must leave behind: success is this, never a receipt's status alone."""
    or_event: ClassVar[str | None] = None
    """What the call may leave behind instead; None for nothing."""


class RegistryRecord(Record):
    __slots__ = ()
    contract = Contract.REGISTRY


class LedgerRecord(Record):
    __slots__ = ()
    contract = Contract.LEDGER
