"""The contracts' storage slots, and the packed structs in them.

Derived from the compiler's storage layout, which is part of the artefacts (Solidity documentation, "Layout of State
Variables in Storage"). With h = Keccak-256 and p the slot number of a mapping as 32 bytes:

    value of key k            slot h(k || p); k padded on the left to 32 bytes, a bytes32 unchanged
    value of keys k, then m   slot h(m || h(k || p))
    later words of a struct   the slots that follow
    packed members            each at its byte offset, counted from the low end of the word

    subject's head            LEDGER _heads[subject]             participant            REGISTRY _participants[number]
    order                     LEDGER _orders[order]              assignment     LEDGER _assignments[order][operation]
    lot                       LEDGER _lots[lot]                  stream (2 words)       LEDGER _streams[stream]
    certificate               LEDGER _certificates[number]       machine's number       REGISTRY _sequenceOf[subject]
    standing                  LEDGER _standings[lot][inspector]
    key                       REGISTRY _keys[address]            machine                REGISTRY _machines[number]
    model (3 words)           REGISTRY _models[number]           name key (2 words)
                                                                        REGISTRY _nameKeys[participant][index]
    published digest          REGISTRY _published[kind]

The names are those of the Solidity source. Their slot numbers are in ledger/artifacts under `storageLayout`, and in
BUNDLE.md. An entry that does not exist consists of zeros. Times are in seconds since 1970, 0 for never.
"""

from __future__ import annotations

import enum
import functools
import json
import re
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from millmark.ledger import records
from millmark.ledger.canonical import keccak256
from millmark.ledger.errors import ProofError

# Heads: the end of the hash chain over an order's or lot's records (contracts/src/interfaces/IHistory.sol).

HEAD_TAG = keccak256(b"millmark.history.v1")

_INNER = struct.Struct(">24xQ 24xQ 12x20s 32s 24xQ")
"""The words of an inner hash. One call packs them: a bundle may have a hundred thousand records."""


def start_of(chain_id: int, ledger: bytes, ledger_id: bytes, subject: bytes) -> bytes:
    """The head of a history without records, 32 bytes. `ledger` is an address, 20 bytes; `ledger_id` and `subject` have
    32 bytes."""
    return keccak256(HEAD_TAG + _word(chain_id) + bytes(12) + ledger + ledger_id + subject)


def inner_of(*, sequence: int, participant: int, key: bytes, data: bytes, block_time: int) -> bytes:
    """The inner hash of a record, 32 bytes. `key` is an address, `data` the event's data, `block_time` in seconds.
    Raises OverflowError for numbers that no record has: negative ones, or those of more than 64 bits."""
    try:
        return keccak256(_INNER.pack(sequence, participant, key, keccak256(data), block_time))
    except struct.error as error:
        raise OverflowError(str(error)) from None


def link(head: bytes, topic: bytes, inner: bytes) -> bytes:
    """The head after one more record, from topic 0 of its event and its inner hash; 32 bytes each."""
    return keccak256(head + topic + inner)


T = TypeVar("T")
WORD_BYTES = 32
_FOLDER = Path(__file__).parent / "artifacts"
_ARTIFACTS = {records.Contract.REGISTRY: "Registry", records.Contract.LEDGER: "TraceLedger"}
_ENUMERATIONS: tuple[type[enum.IntEnum], ...] = (
    records.AssignmentState,
    records.CertificateState,
    records.LotState,
    records.ModelState,
    records.OrderState,
    records.Verdict,
)


@dataclass(frozen=True, slots=True)
class ParticipantSlots:
    """The Registry's entry of a participant."""

    roles: int
    keys: int
    admins: int
    name_keys: int
    """Number of name keys; the current one has the greatest index."""
    generation: int
    """Number of recoveries; the keys of earlier generations have ended."""
    suspended: bool
    departed: bool
    sequence: int
    inactive_since: int
    """When it was suspended or left; 0 while it may act."""


@dataclass(frozen=True, slots=True)
class KeySlots:
    """The Registry's entry of a key."""

    participant: int
    roles: int
    admin: bool
    generation: int
    """The participant's generation when the key was added."""
    added_at: int
    revoked_at: int
    """0 also for a key that ended by a recovery."""
    compromised_since: int
    declared_at: int


@dataclass(frozen=True, slots=True)
class MachineSlots:
    """The Registry's entry of a machine."""

    owner: int
    retired_at: int


@dataclass(frozen=True, slots=True)
class ModelSlots:
    """The Registry's entry of a model. Inspector and approver are participants."""

    inspector: int
    approver: int
    state: records.ModelState
    open: bool
    retired_at: int
    withdrawn_at: int
    defective_since: int
    digest: bytes
    code: bytes


@dataclass(frozen=True, slots=True)
class NameKeySlots:
    """The Registry's entry of a participant's name key."""

    name_key_hash: bytes
    """SHA-256 of the public key."""
    set_at: int
    """What was recorded before has its name from an earlier key."""
    sequence: int


@dataclass(frozen=True, slots=True)
class OrderSlots:
    """The ledger's entry of an order. Buyer, coordinator and inspector are participants."""

    sequence: int
    model: int
    buyer: int
    coordinator: int
    inspector: int
    quantity: int
    unit: bytes
    operations: int
    open: int
    state: records.OrderState


@dataclass(frozen=True, slots=True)
class AssignmentSlots:
    """The ledger's entry of the latest assignment of an operation."""

    sequence: int
    order: int
    machine: int
    owner: int
    state: records.AssignmentState
    finished_once: bool
    stream: int
    stream_size: int


@dataclass(frozen=True, slots=True)
class LotSlots:
    """The ledger's entry of a lot."""

    number: int
    order: int
    quantity: int
    holder: int
    counterparty: int
    contents: int
    unit: bytes
    packed: bool
    reworks: int
    state: records.LotState


@dataclass(frozen=True, slots=True)
class CertificateSlots:
    """The ledger's entry of a certificate."""

    lot: int
    """Number of its lot, or of the first of several."""
    model: int
    issued_at: int
    expires_at: int
    opening_deadline: int
    issuer: int
    reworks: int
    verdict: records.Verdict
    state: records.CertificateState


@dataclass(frozen=True, slots=True)
class StandingSlots:
    """The ledger's entry of what one inspector's certificates on a lot amount to."""

    latest: int
    quarantining: int
    open: int
    reworks: int
    key: bytes


@dataclass(frozen=True, slots=True)
class StreamSlots:
    """The ledger's entry of an evidence stream."""

    sequence: int
    machine: int
    owner: int
    size: int
    root: bytes


_PLACES: dict[type, tuple[records.Contract, str]] = {
    ParticipantSlots: (records.Contract.REGISTRY, "_participants"),
    KeySlots: (records.Contract.REGISTRY, "_keys"),
    MachineSlots: (records.Contract.REGISTRY, "_machines"),
    ModelSlots: (records.Contract.REGISTRY, "_models"),
    NameKeySlots: (records.Contract.REGISTRY, "_nameKeys"),
    OrderSlots: (records.Contract.LEDGER, "_orders"),
    AssignmentSlots: (records.Contract.LEDGER, "_assignments"),
    LotSlots: (records.Contract.LEDGER, "_lots"),
    CertificateSlots: (records.Contract.LEDGER, "_certificates"),
    StandingSlots: (records.Contract.LEDGER, "_standings"),
    StreamSlots: (records.Contract.LEDGER, "_streams"),
}

_SEQUENCES = {records.Contract.REGISTRY: "sequence", records.Contract.LEDGER: "_sequence"}


def head_slot(subject: bytes) -> bytes:
    """Slot of the ledger that contains the head of a subject's history."""
    return _mapping_slot(records.Contract.LEDGER, "_heads", (subject,))


def machine_slot(subject: bytes) -> bytes:
    """Slot of the registry that contains the number of the machine or model with this subject; it contains 0 if there
    is none."""
    return _mapping_slot(records.Contract.REGISTRY, "_sequenceOf", (subject,))


def published_slot(kind: int) -> bytes:
    """Slot of the registry that contains the digest last published of a kind, 0 if there is none."""
    return _mapping_slot(records.Contract.REGISTRY, "_published", (kind,))


def sequence_slot(contract: records.Contract) -> bytes:
    """Slot that contains the number of records made by a contract, among other variables."""
    return _word(_variable(contract, _SEQUENCES[contract]).slot)


def decode_sequence(contract: records.Contract, word: bytes) -> int:
    """Return the number of records from the word in `sequence_slot`."""
    # Solidity packs the uint40 with other variables into one word.
    return int.from_bytes(word, "big") >> 8 * _variable(contract, _SEQUENCES[contract]).offset & (2**40 - 1)


def slots_of(kind: type, *keys: bytes | int) -> tuple[bytes, ...]:
    """Return the slots of a struct, 32 bytes each, in the order in which `decode_struct` expects their words.

    `kind` is one of this module's classes, `keys` are the keys of its mapping: a subject (32 bytes), an address (20
    bytes) or a number; for an assignment the order, then the operation; for a name key the participant, then the
    index. Raises ProofError for a key of the wrong type or size.
    """
    contract, name = _PLACES[kind]
    first = int.from_bytes(_mapping_slot(contract, name, keys), "big")
    # Modulo 2^256, as in the EVM: a mapping's slot is a hash, which may be close to the end.
    return tuple(_word((first + step) % 2**256) for step in range(_struct(contract, name).words))


def decode_struct(kind: type[T], words: Sequence[bytes]) -> T:
    """Decode a struct from the words in its slots.

    Raises ProofError for a wrong number or length of words, and for values that the contract never writes: an
    enumeration value without a member, a boolean that is neither 0 nor 1, bits set outside all members.
    """
    struct = _struct(*_PLACES[kind])
    if len(words) != struct.words or any(len(word) != WORD_BYTES for word in words):
        raise ProofError(f"the entry of a {_shown(kind)} is not {struct.words} words of {WORD_BYTES} bytes")
    rest = [int.from_bytes(word, "big") for word in words]
    values = {}
    for member in struct.members:
        shift, bits = 8 * member.offset, 8 * member.size
        part = rest[member.word] >> shift & ((1 << bits) - 1)
        rest[member.word] ^= part << shift  # clears the member's bits, so that unexpected ones remain
        values[member.name] = part.to_bytes(member.size, "big") if member.is_bytes else part
    if any(rest):
        raise ProofError(f"the entry of a {_shown(kind)} has bits set outside its members")
    return kind(**{name: _converted(kind, name, value) for name, value in values.items()})


@dataclass(frozen=True, slots=True)
class _Member:
    name: str
    word: int
    """Index of the word within the struct."""
    offset: int
    """Bytes from the low end of the word."""
    size: int
    """Bytes."""
    is_bytes: bool


@dataclass(frozen=True, slots=True)
class _Struct:
    words: int
    members: tuple[_Member, ...]


def load_layouts() -> None:
    """Reads the layouts of the contracts now, which are otherwise read when they are first needed."""
    for contract in _ARTIFACTS:
        _layout(contract)


@functools.cache
def _layout(contract: records.Contract) -> Mapping[str, Any]:
    raw = json.loads((_FOLDER / f"{_ARTIFACTS[contract]}.json").read_text())
    layout: Mapping[str, Any] = raw["storageLayout"]
    return layout


@dataclass(frozen=True, slots=True)
class _Variable:
    slot: int
    offset: int
    """Bytes from the low end of the slot."""
    type: str


@functools.cache
def _variable(contract: records.Contract, name: str) -> _Variable:
    """Look up a state variable of a contract by its Solidity name."""
    found = next(entry for entry in _layout(contract)["storage"] if entry["label"] == name)
    return _Variable(int(found["slot"]), int(found["offset"]), str(found["type"]))


@functools.cache
def _struct(contract: records.Contract, name: str) -> _Struct:
    """Layout of the struct that a mapping, or a mapping of mappings, has as its values."""
    types = _layout(contract)["types"]
    found = types[_variable(contract, name).type]
    while found["encoding"] == "mapping":
        found = types[found["value"]]
    return _Struct(
        words=int(found["numberOfBytes"]) // WORD_BYTES,
        members=tuple(
            _Member(
                name=records.snake_case(member["label"]),
                word=int(member["slot"]),
                offset=int(member["offset"]),
                size=int(types[member["type"]]["numberOfBytes"]),
                is_bytes=re.fullmatch(r"bytes\d+|address", types[member["type"]]["label"]) is not None,
            )
            for member in found["members"]
        ),
    )


def _mapping_slot(contract: records.Contract, name: str, keys: Sequence[bytes | int]) -> bytes:
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
            raise ProofError(f"{key} does not fit the key of {types[mapping]['label']}")
        return _word(key)
    if len(key) != size:
        raise ProofError(f"{len(key)} bytes do not fit the key of {types[mapping]['label']}")
    return key.rjust(WORD_BYTES, b"\0")


@functools.cache
def _conversions(kind: type) -> Mapping[str, Callable[[Any], object]]:
    named: dict[str, Callable[[Any], object]] = {"bool": _boolean}
    named.update((enumeration.__name__, enumeration) for enumeration in _ENUMERATIONS)
    # Annotations are strings here, because of `from __future__ import annotations`.
    return {field.name: named[str(field.type)] for field in fields(kind) if str(field.type) in named}


def _converted(kind: type, name: str, value: object) -> object:
    convert = _conversions(kind).get(name)
    if convert is None:
        return value
    try:
        return convert(value)
    except ValueError:
        raise ProofError(f"the entry of a {_shown(kind)} has the invalid {name} {value}") from None


def _boolean(value: int) -> bool:
    if value > 1:
        raise ValueError
    return bool(value)


def _shown(kind: type) -> str:
    return kind.__name__.removesuffix("Slots").lower()


def _word(number: int) -> bytes:
    return number.to_bytes(WORD_BYTES, "big")
