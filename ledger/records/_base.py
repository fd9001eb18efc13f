"""Types of fields, and their check at construction."""

from __future__ import annotations

import enum
import functools
import operator
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, ClassVar, TypeAlias, get_args, get_origin, get_type_hints

from millmark.ledger.canonical import to_hex
from millmark.ledger.errors import RecordError

# Enumerations of the contracts (contracts/src/interfaces). Values are the contracts' numbers.


class Contract(enum.Enum):
    """The two contracts that log records."""

    REGISTRY = "registry"
    LEDGER = "ledger"


class Role(enum.IntFlag):
    """Roles of participants, as bits of a mask (contracts/src/libraries/Roles.sol)."""

    BUYER = 1
    COORDINATOR = 2
    MANUFACTURER = 4
    INSPECTOR = 8
    CARRIER = 16
    AUDITOR = 32


ALL_ROLES = functools.reduce(operator.or_, Role)
"""The mask with all roles."""


class PublicationKind(enum.IntEnum):
    """What the registry's owner publishes to all, by its digest."""

    DIRECTORY = 1


class NoteKind(enum.IntEnum):
    """What a note is. A consortium may agree on further numbers."""

    OBSERVATION = 1
    RECALL_NOTICE = 2
    """What it is about should be taken out of use; the document says why."""
    CALIBRATION = 3
    MAINTENANCE = 4
    LATER_FACT = 5
    """Something that became known after the lot had left: state of health, status of use, a repair elsewhere."""
    CORRECTION = 6
    """The record `about` is to be read together with the document, which says what was wrong. Nothing is changed."""
    COMPLAINT = 7
    """What arrived is less than was offered, or other: by who accepted it."""
    ACKNOWLEDGEMENT = 8
    """On lots that a recall notice reaches, by whoever has them: the notices recorded so far were read, and are being
    acted upon."""
    RESOLUTION = 9
    """On such lots: nothing more is to be done about them. By who recorded the notice, on all that it names: the matter
    is closed."""
    DRIFT = 10
    """What is measured of the lots differs from what the model learned from: their inspector's alarm."""


class ModelState(enum.IntEnum):
    NONE = 0
    REGISTERED = 1
    APPROVED = 2
    RETIRED = 3
    """No new verdicts; those given stand."""
    WITHDRAWN = 4

    @property
    def stands(self) -> bool:
        """Whether verdicts on a model in this state count."""
        return self in (ModelState.APPROVED, ModelState.RETIRED)


class OrderState(enum.IntEnum):
    NONE = 0
    PLACED = 1
    ACCEPTED = 2
    IN_PRODUCTION = 3
    COMPLETED = 4
    DELIVERED = 5
    CANCELLED = 6
    ENDED = 7


class AssignmentState(enum.IntEnum):
    NONE = 0
    PROPOSED = 1
    ACCEPTED = 2
    DECLINED = 3
    STARTED = 4
    FINISHED = 5
    CANCELLED = 6


class LotState(enum.IntEnum):
    NONE = 0
    HELD = 1
    OFFERED = 2
    QUARANTINED = 3
    SPENT = 4
    RETURNING = 5
    """Quarantined, and offered to its maker."""

    @property
    def is_quarantined(self) -> bool:
        return self in (LotState.QUARANTINED, LotState.RETURNING)


class Disposition(enum.IntEnum):
    """How a quantity left for good."""

    SCRAPPED = 0
    EXPORTED = 1
    SOLD = 2
    LOST = 3
    RECYCLED = 4


class TransformationKind(enum.IntEnum):
    SPLIT = 0
    MERGE = 1
    CONVERSION = 2


class Verdict(enum.IntEnum):
    NONE = 0
    PASS = 1
    FAIL = 2


class CertificateState(enum.IntEnum):
    """The state of a certificate that results from its records. CertificateStatus tells whether the certificate
    counts.
    """

    NONE = 0
    ISSUED = 1
    DEMANDED = 2
    """Its opening was demanded, and has not happened yet."""
    UPHELD = 3
    REVOKED = 4
    REFUTED = 5


MAX_OPEN = 255
"""The most open certificates of one inspector on a lot that are counted. At that number the count stays."""


class CertificateStatus(enum.IntEnum):
    """Whether a certificate counts at a time, and if not, why. It follows from state, model and time."""

    NONE = 0
    VALID = 1
    EXPIRED = 2
    REVOKED = 3
    FALLEN = 4
    """Its model was withdrawn."""
    REFUTED = 5
    UNOPENED = 6
    """Its opening was demanded, and did not happen before the deadline."""
    VOIDED = 7
    """The lot was reworked since, and this was a pass on the lot as it was before."""


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
U64 = Annotated[int, 64]
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
