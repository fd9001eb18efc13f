"""Records as participants send them: calls of contract functions. Records as the chain logged them are in
millmark.ledger.events.

A `Record` is one call of one contract function. Its class has the function's name, and its fields have the arguments'
names, in the order of the ABI. Records are frozen and checked at construction: a value that does not fit the contract's
type is refused, never truncated or rounded.

The kinds of records are imported on first use: who only reads needs their enums and parts alone.
"""

from __future__ import annotations

import importlib
from functools import cache
from typing import TYPE_CHECKING

from millmark.ledger.records._base import (
    ALL_ROLES,
    I32,
    MAX_OPEN,
    U8,
    U16,
    U32,
    U40,
    U64,
    Address,
    AssignmentNumber,
    AssignmentState,
    Bytes3,
    Bytes32,
    CertificateNumber,
    CertificateState,
    CertificateStatus,
    Checked,
    ClaimsRoot,
    Contract,
    Disposition,
    LedgerRecord,
    LotState,
    LotSubject,
    MachineNumber,
    ModelNumber,
    ModelState,
    Names,
    NoteKind,
    OrderState,
    OrderSubject,
    Packed,
    ParticipantNumber,
    PublicationKind,
    Record,
    RecordNumber,
    RegistryRecord,
    Role,
    StreamSubject,
    TransformationKind,
    Value,
    Verdict,
    optional_subject,
    pack,
    packed_fields,
    snake_case,
)
from millmark.ledger.records._parts import (
    Gate,
    Gates,
    Inference,
    Input,
    Issued,
    Item,
    Measured,
    OrderTerms,
    Output,
    Rework,
    Statement,
    Transformation,
)

if TYPE_CHECKING:
    from millmark.ledger.records import _lots, _orders, _registry
    from millmark.ledger.records._lots import *  # noqa: F403  # its __all__ is the one list of them
    from millmark.ledger.records._orders import *  # noqa: F403  # its __all__ is the one list of them
    from millmark.ledger.records._registry import *  # noqa: F403  # its __all__ is the one list of them

    RECORD_TYPES: tuple[type[Record], ...]
    """Every kind of record, one per state-changing contract function."""

__all__ = [
    "ALL_ROLES",
    "I32",
    "MAX_OPEN",
    "RECORD_TYPES",
    "U8",
    "U16",
    "U32",
    "U40",
    "U64",
    "Address",
    "AssignmentNumber",
    "AssignmentState",
    "Bytes3",
    "Bytes32",
    "CertificateNumber",
    "CertificateState",
    "CertificateStatus",
    "Checked",
    "ClaimsRoot",
    "Contract",
    "Disposition",
    "Gate",
    "Gates",
    "Inference",
    "Input",
    "Issued",
    "Item",
    "LedgerRecord",
    "LotState",
    "LotSubject",
    "MachineNumber",
    "Measured",
    "ModelNumber",
    "ModelState",
    "Names",
    "NoteKind",
    "OrderState",
    "OrderSubject",
    "OrderTerms",
    "Output",
    "Packed",
    "ParticipantNumber",
    "PublicationKind",
    "Record",
    "RecordNumber",
    "RegistryRecord",
    "Rework",
    "Role",
    "Statement",
    "StreamSubject",
    "Transformation",
    "TransformationKind",
    "Value",
    "Verdict",
    "optional_subject",
    "pack",
    "packed_fields",
    "snake_case",
]

if TYPE_CHECKING:
    __all__ += _lots.__all__
    __all__ += _orders.__all__
    __all__ += _registry.__all__


@cache
def _kinds() -> dict[str, type[Record]]:
    families = [importlib.import_module(f"{__name__}.{name}") for name in ("_lots", "_orders", "_registry")]
    return {name: getattr(family, name) for family in families for name in family.__all__}


def __getattr__(name: str) -> object:
    if name == "RECORD_TYPES":
        return tuple(_kinds().values())
    # Their modules ask for each other while they are imported: no name of a module's own may lead to them.
    if not name[0].isupper() or name not in _kinds():
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _kinds()[name]
