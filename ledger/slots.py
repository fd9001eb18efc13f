"""Where the contracts keep what, and how: storage slots and the packed structs in them.

Derived from the compiler's own storage layout, which is part of the artefacts (Solidity documentation, "Layout of State
Variables in Storage"). With h = Keccak-256 and p the slot number of a mapping as 32 bytes:

    value of key k            slot h(k || p); k padded on the left to 32 bytes, a bytes32 as it is
    value of keys k, then m   slot h(m || h(k || p))
    later words of a struct   the slots right after
    packed members            each at its byte offset, counted from the low end of the word

    subject's head            LEDGER _heads[subject]             participant            REGISTRY _participants[number]
    order                     LEDGER _orders[order]              assignment     LEDGER _assignments[order][operation]
    lot                       LEDGER _lots[lot]                  stream (2 words)       LEDGER _streams[stream]
    latest certificate        LEDGER _certificates[lot]          machine's number       REGISTRY _sequenceOf[subject]
    key                       REGISTRY _keys[address]            machine                REGISTRY _machines[number]
    model (3 words)           REGISTRY _models[number]

The names are those of the Solidity source; their slot numbers are in ledger/artifacts under `storageLayout`, and in
BUNDLE.md.
"""

from __future__ import annotations

import enum
import functools
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from importlib import resources
from typing import Any, TypeVar

from ledger.canonical import keccak256
from ledger.errors import ProofError
from ledger.records import (
    AssignmentState,
    CertificateState,
    Contract,
    LotState,
    ModelState,
    OrderState,
    Verdict,
    snake_case,
)

__all__ = [
    "AssignmentSlots",
    "CertificateSlots",
    "KeySlots",
    "LotSlots",
    "MachineSlots",
    "ModelSlots",
    "OrderSlots",
    "ParticipantSlots",
    "StreamSlots",
    "decode_sequence",
    "decode_struct",
    "head_slot",
    "machine_slot",
    "sequence_slot",
    "slots_of",
]

T = TypeVar("T")
WORD_BYTES = 32
_ARTIFACTS = {Contract.REGISTRY: "Registry", Contract.LEDGER: "TraceLedger"}
_ENUMERATIONS: tuple[type[enum.IntEnum], ...] = (
    AssignmentState,
    CertificateState,
    LotState,
    ModelState,
    OrderState,
    Verdict,
)


@dataclass(frozen=True, slots=True)
class ParticipantSlots:
    """A participant as the Registry keeps it; all zero when there is none. So are the others here."""

    roles: int
    keys: int
    suspended: bool
    sequence: int


@dataclass(frozen=True, slots=True)
class KeySlots:
    participant: int
    added_at: int
    revoked_at: int
    compromised_since: int


@dataclass(frozen=True, slots=True)
class MachineSlots:
    owner: int
    retired_at: int


@dataclass(frozen=True, slots=True)
class ModelSlots:
    inspector: int
    approver: int
    state: ModelState
    withdrawn_at: int
    defective_since: int
    digest: bytes
    code: bytes


@dataclass(frozen=True, slots=True)
class OrderSlots:
    sequence: int
    model: int
    buyer: int
    coordinator: int
    inspector: int
    operations: int
    open: int
    state: OrderState


@dataclass(frozen=True, slots=True)
class AssignmentSlots:
    sequence: int
    order: int
    machine: int
    owner: int
    state: AssignmentState
    finished_once: bool


@dataclass(frozen=True, slots=True)
class LotSlots:
    number: int
    order: int
    quantity: int
    holder: int
    counterparty: int
    contents: int
    unit: bytes
    packed: bool
    state: LotState


@dataclass(frozen=True, slots=True)
class CertificateSlots:
    sequence: int
    model: int
    expires_at: int
    issuer: int
    verdict: Verdict
    state: CertificateState
    opening_deadline: int


@dataclass(frozen=True, slots=True)
class StreamSlots:
    sequence: int
    machine: int
    owner: int
    size: int
    root: bytes


_PLACES: dict[type, tuple[Contract, str]] = {
    ParticipantSlots: (Contract.REGISTRY, "_participants"),
    KeySlots: (Contract.REGISTRY, "_keys"),
    MachineSlots: (Contract.REGISTRY, "_machines"),
    ModelSlots: (Contract.REGISTRY, "_models"),
    OrderSlots: (Contract.LEDGER, "_orders"),
    AssignmentSlots: (Contract.LEDGER, "_assignments"),
    LotSlots: (Contract.LEDGER, "_lots"),
    CertificateSlots: (Contract.LEDGER, "_certificates"),
    StreamSlots: (Contract.LEDGER, "_streams"),
}

_SEQUENCES = {Contract.REGISTRY: "sequence", Contract.LEDGER: "_sequence"}


def head_slot(subject: bytes) -> bytes:
    """The ledger's slot with the head of a subject's history."""
    return _mapping_slot(Contract.LEDGER, "_heads", (subject,))


def machine_slot(subject: bytes) -> bytes:
    """The registry's slot with the number of a machine or model, by its subject; 0 where there is none."""
    return _mapping_slot(Contract.REGISTRY, "_sequenceOf", (subject,))


def sequence_slot(contract: Contract) -> bytes:
    """The slot with the number of records that a contract has made."""
    return _word(_variable(contract, _SEQUENCES[contract]).slot)


def decode_sequence(contract: Contract, word: bytes) -> int:
    """The number of records in that slot, which other variables share."""
    return int.from_bytes(word, "big") >> 8 * _variable(contract, _SEQUENCES[contract]).offset & (2**40 - 1)


def slots_of(kind: type, *keys: bytes | int) -> tuple[bytes, ...]:
    """The slots of a struct, 32 bytes each, in the order in which `decode_struct` takes their words.

    `kind` is one of this module's classes, `keys` what the contract finds it by: a subject (32 bytes), an address (20
    bytes) or a number; for an assignment the order, then the operation. Raises ProofError for another key.
    """
    contract, name = _PLACES[kind]
    first = int.from_bytes(_mapping_slot(contract, name, keys), "big")
    return tuple(_word((first + step) % 2**256) for step in range(_struct(contract, name).words))


def decode_struct(kind: type[T], words: Sequence[bytes]) -> T:
    """The struct in the words of its slots. Raises ProofError for a wrong number or length of words, or bytes that the
    contract never writes: an enumeration beyond its last member, a boolean beyond 1, set bits between members."""
    struct = _struct(*_PLACES[kind])
    if len(words) != struct.words or any(len(word) != WORD_BYTES for word in words):
        raise ProofError(f"{_shown(kind)} is not {struct.words} words of {WORD_BYTES} bytes")
    rest = [int.from_bytes(word, "big") for word in words]
    values = {}
    for member in struct.members:
        shift, bits = 8 * member.offset, 8 * member.size
        part = rest[member.word] >> shift & ((1 << bits) - 1)
        rest[member.word] ^= part << shift
        values[member.name] = part.to_bytes(member.size, "big") if member.is_bytes else part
    if any(rest):
        raise ProofError(f"{_shown(kind)} has set bits outside of its members")
    return kind(**{name: _converted(kind, name, value) for name, value in values.items()})


@dataclass(frozen=True, slots=True)
class _Member:
    name: str
    word: int
    """Which word of the struct."""
    offset: int
    """In bytes, from the low end."""
    size: int
    """In bytes."""
    is_bytes: bool


@dataclass(frozen=True, slots=True)
class _Struct:
    words: int
    members: tuple[_Member, ...]


@functools.cache
def _layout(contract: Contract) -> Mapping[str, Any]:
    raw = json.loads((resources.files("ledger") / "artifacts" / f"{_ARTIFACTS[contract]}.json").read_text())
    layout: Mapping[str, Any] = raw["storageLayout"]
    return layout


@dataclass(frozen=True, slots=True)
class _Variable:
    slot: int
    offset: int
    """In bytes, from the low end of the slot."""
    type: str


@functools.cache
def _variable(contract: Contract, name: str) -> _Variable:
    """A state variable."""
    found = next(entry for entry in _layout(contract)["storage"] if entry["label"] == name)
    return _Variable(int(found["slot"]), int(found["offset"]), str(found["type"]))


@functools.cache
def _struct(contract: Contract, name: str) -> _Struct:
    """The struct that a mapping ends at."""
    types = _layout(contract)["types"]
    found = types[_variable(contract, name).type]
    while found["encoding"] == "mapping":
        found = types[found["value"]]
    return _Struct(
        words=int(found["numberOfBytes"]) // WORD_BYTES,
        members=tuple(
            _Member(
                name=snake_case(member["label"]),
                word=int(member["slot"]),
                offset=int(member["offset"]),
                size=int(types[member["type"]]["numberOfBytes"]),
                is_bytes=re.fullmatch(r"bytes\d+|address", types[member["type"]]["label"]) is not None,
            )
            for member in found["members"]
        ),
    )


def _mapping_slot(contract: Contract, name: str, keys: Sequence[bytes | int]) -> bytes:
    variable, types = _variable(contract, name), _layout(contract)["types"]
    slot, kind = _word(variable.slot), variable.type
    for key in keys:
        slot = keccak256(_key(types, kind, key) + slot)
        kind = types[kind]["value"]
    return slot


def _key(types: Mapping[str, Any], mapping: str, key: bytes | int) -> bytes:
    size = int(types[types[mapping]["key"]]["numberOfBytes"])
    if isinstance(key, int):
        if not 0 <= key < 1 << 8 * size:
            raise ProofError(f"{key} is no key of {types[mapping]['label']}")
        return _word(key)
    if len(key) != size:
        raise ProofError(f"{len(key)} bytes are no key of {types[mapping]['label']}")
    return key.rjust(WORD_BYTES, b"\0")


@functools.cache
def _conversions(kind: type) -> Mapping[str, Callable[[Any], object]]:
    named: dict[str, Callable[[Any], object]] = {"bool": _boolean}
    named.update((enumeration.__name__, enumeration) for enumeration in _ENUMERATIONS)
    return {field.name: named[str(field.type)] for field in fields(kind) if str(field.type) in named}


def _converted(kind: type, name: str, value: object) -> object:
    convert = _conversions(kind).get(name)
    if convert is None:
        return value
    try:
        return convert(value)
    except ValueError:
        raise ProofError(f"{_shown(kind)} has {value} as its {name}") from None


def _boolean(value: int) -> bool:
    if value > 1:
        raise ValueError
    return bool(value)


def _shown(kind: type) -> str:
    return kind.__name__.removesuffix("Slots").lower()


def _word(number: int) -> bytes:
    return number.to_bytes(WORD_BYTES, "big")
