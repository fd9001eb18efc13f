"""Types of fields, and their check at construction."""

from __future__ import annotations

import enum
import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, ClassVar, TypeAlias, get_args, get_origin, get_type_hints

from millmark.ledger.canonical import to_hex
from millmark.ledger.errors import RecordError
from millmark.ledger.records._enums import Contract


@dataclass(frozen=True, slots=True)
class Signed:
    """Annotation of a signed integer, in two's complement."""

    bits: int
    """Size, with the sign."""


@dataclass(frozen=True, slots=True)
class Packed:
    """Annotation of a tuple of structs that the contracts keep in one word, a uint256: the first item in its lowest
    bits, and of each item, the first member in its lowest ones. No item is all zeros."""

    most: int
    """How many items there can be."""


I32 = Annotated[int, Signed(32)]
U8 = Annotated[int, 8]
U16 = Annotated[int, 16]
U32 = Annotated[int, 32]
U40 = Annotated[int, 40]
"""Used for every time (seconds since 1970), quantity (whole number of a unit) and sequence."""
Bytes3 = Annotated[bytes, 3]
"""A unit: a UN/ECE Recommendation 20 code, padded with zero bytes on the right."""
Bytes32 = Annotated[bytes, 32]
Address = Annotated[bytes, 20]


class Names(enum.Enum):
    """The kind of thing to which a field refers."""

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
"""Zero, in any of these types, means that the field refers to nothing."""

Value: TypeAlias = "int | bool | bytes | str | tuple[Value, ...] | Mapping[str, Value]"
"""A value that a contract function returns: arrays are tuples, structs are mappings by field name."""


def optional_subject(subject: bytes) -> bytes | None:
    """The subject; None for 32 zero bytes, by which the contracts express that there is no order or lot."""
    return subject if any(subject) else None


def snake_case(name: str) -> str:
    """`claimsRoot` -> `claims_root`, `PlaceOrder` -> `place_order`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _fits(value: object, hint: object) -> bool:
    """Whether a value is exactly of the annotated type. Nothing is converted, so True is not a number."""
    if get_origin(hint) is Annotated:
        base, size, *_ = get_args(hint)
        if isinstance(size, Packed):
            return _fits(value, base) and len(value) <= size.most  # type: ignore[arg-type]  # then it is a tuple
        if base is int:
            least, most = _range(size)
            return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
        return isinstance(value, bytes) and len(value) == size
    if get_origin(hint) is tuple:
        item = get_args(hint)[0]
        return isinstance(value, tuple) and all(_fits(entry, item) for entry in value)
    return isinstance(hint, type) and isinstance(value, hint)


def _range(size: int | Signed) -> tuple[int, int]:
    """The least and the greatest integer of a type."""
    if isinstance(size, Signed):
        return -(1 << size.bits - 1), (1 << size.bits - 1) - 1
    return 0, (1 << size) - 1


class Checked:
    """Base class of frozen dataclasses whose fields are checked against their annotations.

    Construction raises RecordError if a field has another type or is out of range.
    """

    __slots__ = ()

    def __post_init__(self) -> None:
        hints = _hints(type(self))  # type: ignore[arg-type]  # mypy judges the class by its instances' hash
        for field in fields(self):  # type: ignore[arg-type]  # every subclass is a dataclass
            value = getattr(self, field.name)
            if not _fits(value, hints[field.name]):
                shown = to_hex(value) if isinstance(value, bytes) else repr(value)
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
        if isinstance(size, Packed):
            return f"{_describe(base)}, at most {size.most} of them"
        if isinstance(size, Signed):
            return f"a whole number from -2^{size.bits - 1} to 2^{size.bits - 1} - 1"
        return f"a whole number below 2^{size}" if base is int else f"{size} bytes"
    if get_origin(hint) is tuple:
        return f"a tuple whose items are each {_describe(get_args(hint)[0])}"
    return f"a {getattr(hint, '__name__', hint)}"


@functools.cache
def packed_fields(kind: type) -> frozenset[str]:
    """Names of the fields of a dataclass that the contracts keep in one word."""
    annotated = {name: get_args(hint) for name, hint in _hints(kind).items() if get_origin(hint) is Annotated}
    return frozenset(name for name, parts in annotated.items() if isinstance(parts[1], Packed))


def pack(items: tuple[Checked, ...]) -> int:
    """The word in which the contracts keep these items, see `Packed`."""
    word = at = 0
    for item in items:
        for name, hint in _hints(type(item)).items():  # type: ignore[arg-type]  # as above
            word |= getattr(item, name) << at
            at += get_args(hint)[1]
    return word


class Record(Checked):
    """One call of a contract function."""

    __slots__ = ()
    contract: ClassVar[Contract]
    event: ClassVar[str]
    """Name of the event that the call must log. Only that is success; the status of a receipt alone is not."""
    or_event: ClassVar[str | None] = None
    """Name of the event that the call may log instead; None if there is none."""


class RegistryRecord(Record):
    """A call of the registry."""

    __slots__ = ()
    contract = Contract.REGISTRY


class LedgerRecord(Record):
    """A call of the ledger."""

    __slots__ = ()
    contract = Contract.LEDGER
