"""The content of a bundle apart from its proofs, which tests change and then prove again.

`publish` computes everything that depends on the content: heads, storage tries, accounts, the state root, headers, and
the checkpoint of the trust file. A lie in the content therefore fails at the step that checks it, and at no other.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import TypeVar

from millmark.ledger.bundle import Bundle, HistoryShown, RecordShown, WithheldRecord, encode_bundle
from millmark.ledger.canonical import keccak256
from millmark.ledger.events import HISTORY_EVENTS, Event, topic_of
from millmark.ledger.headers import FIELDS, decode_rlp, encode_header, encode_rlp, parse_header
from millmark.ledger.ids import SubjectKind
from millmark.ledger.names import subjects_of
from millmark.ledger.records import Contract
from millmark.ledger.slots import (
    KeySlots,
    MachineSlots,
    ModelSlots,
    NameKeySlots,
    ParticipantSlots,
    StreamSlots,
    head_slot,
    inner_of,
    link,
    machine_slot,
    slots_of,
    start_of,
)
from millmark.ledger.trust import BelievedBlock, TrustFile
from millmark.ledger.verify._abi import decode
from millmark.ledger.verify._proofs import StateProof, subject_of
from millmark.ledger.verify._state import Entry
from tests.support.event_data import changed, encode_event
from tests.support.tries import build_nodes

E = TypeVar("E", bound=Event)
T = TypeVar("T")
_ONE = (1).to_bytes(32, "big")
_slots_of = functools.lru_cache(maxsize=4096)(slots_of)
_head_slot = functools.lru_cache(maxsize=4096)(head_slot)
_machine_slot = functools.lru_cache(maxsize=4096)(machine_slot)
_PLACES = {name: place for place, (name, _, _) in enumerate(FIELDS)}


@dataclass
class Content:
    """A bundle's content, and the state against which it is proved."""

    bundle: Bundle
    """Records, histories, tables and disclosures as they will be written. Headers and nodes are recomputed."""
    trust: TrustFile
    participants: dict[int, ParticipantSlots]
    keys: dict[bytes, KeySlots]
    machines: dict[int, MachineSlots]
    models: dict[int, ModelSlots]
    streams: dict[bytes, StreamSlots]
    machine_numbers: dict[bytes, int]
    name_keys: dict[tuple[int, int], NameKeySlots]
    """By participant and index. Those that the identities do not need are not stored."""
    taken: dict[bytes, bool]
    """Whether anything is recorded under the subjects that identifiers have by earlier name keys."""
    code_hashes: dict[bytes, bytes]
    header: bytes
    """Header of the proof block. `publish` replaces its state root and time."""
    time: int
    later: int = 0
    """Number of blocks from the proof block to the checkpoint."""
    heads: dict[bytes, bytes] = field(default_factory=dict)
    """Heads in storage that replace those of the records."""
    words: dict[bytes, bytes] = field(default_factory=dict)
    """RLP values in the registry's storage that replace those of the tables, by slot."""
    accounts: dict[bytes, bytes] = field(default_factory=dict)
    """RLP values of accounts that replace the computed ones, by address; empty for no account."""

    def record(self, sequence: int) -> RecordShown:
        return next(one for one in self.bundle.records if one.sequence == sequence)

    def change(self, **members: object) -> None:
        self.bundle = replace(self.bundle, **members)  # type: ignore[arg-type]  # names are the bundle's

    def put(self, record: RecordShown) -> None:
        """Adds the record, or replaces the one with the same sequence."""
        others = [one for one in self.bundle.records if one.sequence != record.sequence]
        self.change(records=tuple(sorted((*others, record), key=lambda one: one.sequence)))

    def drop(self, *sequences: int) -> None:
        """Removes records, also from the histories."""
        self.change(records=tuple(one for one in self.bundle.records if one.sequence not in sequences))
        self.change(
            histories=tuple(
                replace(one, records=tuple(link for link in one.records if link not in sequences))
                for one in self.bundle.histories
            )
        )

    def append(self, record: RecordShown, *subjects: bytes) -> None:
        """Appends a record to histories."""
        self.put(record)
        self.change(
            histories=tuple(
                replace(one, records=(*one.records, record.sequence)) if one.subject in subjects else one
                for one in self.bundle.histories
            )
        )

    def history(self, subject: bytes) -> HistoryShown:
        return next(one for one in self.bundle.histories if one.subject == subject)


def read_content(bundle: Bundle, trust: TrustFile) -> Content:
    """The content of a genuine bundle."""
    header = parse_header(bundle.headers[0])
    proof = StateProof(bundle, header)
    proof.verify_contracts(bundle, trust)
    proved = proof.read(bundle)
    return Content(
        bundle=bundle,
        trust=trust,
        participants=dict(proved.participants),
        keys=dict(proved.keys),
        machines=dict(proved.machines),
        models=dict(proved.models),
        streams=dict(proved.streams),
        machine_numbers=dict(proved.named_machines),
        name_keys=dict(proved.name_keys),
        taken=dict(proved.taken),
        code_hashes={one.address: one.code_hash for one in trust.contracts.values()},
        header=bundle.headers[0],
        time=header.timestamp,
    )


def copy_content(content: Content) -> Content:
    """A copy that can be changed independently. Values are shared, as they are frozen; tables are not."""
    copied = copy.copy(content)
    for member in fields(content):
        value = getattr(content, member.name)
        if isinstance(value, dict):
            setattr(copied, member.name, dict(value))
    return copied


def publish(content: Content) -> tuple[Bundle, TrustFile]:
    """Proves the content: returns a bundle, and a trust file whose checkpoint is its last block."""
    nodes: dict[bytes, bytes] = {}
    roots = {
        content.bundle.registry: _store(_registry_words(content), nodes, content.words),
        content.bundle.ledger: _store(_ledger_words(content), nodes, {}),
    }
    accounts = {
        keccak256(address): encode_rlp([b"\x01", b"", roots.get(address, keccak256(b"\x80")), code_hash])
        for address, code_hash in content.code_hashes.items()
    }
    accounts.update({keccak256(address): value for address, value in content.accounts.items()})
    root = _build({key: value for key, value in accounts.items() if value}, nodes)
    headers = [_header(content.header, root, content.time, None)]
    for number in range(content.later):
        headers.append(_header(headers[-1], root, content.time + 1 + number, parse_header(headers[-1]).hash))
    bundle = replace(content.bundle, headers=tuple(headers), nodes=tuple(sorted(nodes.values())), seals=None)
    last = parse_header(headers[-1])
    return bundle, replace(content.trust, checkpoint=BelievedBlock(last.number, last.hash))


def publish_bytes(content: Content) -> tuple[bytes, TrustFile]:
    """Like `publish`, with the bundle encoded."""
    bundle, trust = publish(content)
    return encode_bundle(bundle), trust


def head_of(bundle: Bundle, history: HistoryShown) -> bytes:
    """The head that the records of a history result in."""
    return _head_of(bundle, history, {record.sequence: record for record in bundle.records})


def _head_of(bundle: Bundle, history: HistoryShown, records: Mapping[int, RecordShown]) -> bytes:
    head = start_of(bundle.chain_id, bundle.ledger, bundle.ledger_id, history.subject)
    for one in history.records:
        if isinstance(one, WithheldRecord):
            head = link(head, topic_of_kind(one.kind), one.inner)
        elif one in records:
            head = link(head, topic_of_kind(records[one].kind), inner_of_shown(records[one]))
    return head


def topic_of_kind(name: str) -> bytes:
    """The event's topic; for an unknown kind, the hash of its name."""
    kind = HISTORY_EVENTS.get(name)
    return keccak256(name.encode()) if kind is None else topic_of(kind)


@functools.lru_cache(maxsize=4096)
def inner_of_shown(record: RecordShown) -> bytes:
    """The hash that a link of a history has for the record."""
    return inner_of(
        sequence=record.sequence,
        participant=record.participant,
        key=record.data[12:32],
        data=record.data,
        block_time=record.block_time,
    )


def entry_of(record: RecordShown) -> Entry[Event]:
    """The record as the verifier reads it."""
    key, histories, event = decode(HISTORY_EVENTS[record.kind], record.data)
    return Entry(event, record.sequence, record.participant, key, record.block_time, histories)


def event_in(record: RecordShown, kind: type[E]) -> E:
    """The record's event, which must be of that kind."""
    event = entry_of(record).event
    assert isinstance(event, kind)
    return event


def with_fields(record: RecordShown, **members: object) -> RecordShown:
    """A copy of the record with other values: key, histories, and members of its event by name. A member of a nested
    struct is set where the name first occurs."""
    entry = entry_of(record)
    key, histories = members.pop("key", entry.key), members.pop("histories", entry.histories)
    event = _with_members(entry.event, members)
    if members:  # or else a forgery would be the genuine record
        raise TypeError(f"a {record.kind} has no member {', '.join(members)}")
    return replace(record, data=encode_event(event, key, histories))  # type: ignore[arg-type]  # of the members' types


def _with_members(value: T, members: dict[str, object]) -> T:
    found: dict[str, object] = {}
    for member in fields(value):  # type: ignore[arg-type]  # events and structs are dataclasses
        old = getattr(value, member.name)
        if is_dataclass(old):
            found[member.name] = _with_members(old, members)
        elif member.name in members:
            found[member.name] = members.pop(member.name)
    return changed(value, **found)


def _registry_words(content: Content) -> dict[bytes, bytes]:
    words: dict[bytes, bytes] = {}
    for number, company in content.participants.items():
        packed = _pack(
            (company.roles, 16), (company.keys, 16), (company.admins, 16), (company.name_keys, 16),
            (company.generation, 16), (company.suspended, 8), (company.departed, 8), (company.sequence, 40),
            (company.inactive_since, 40),
        )  # fmt: skip
        _put(words, _slots_of(ParticipantSlots, number), packed)
    for address, key in content.keys.items():
        packed = _pack(
            (key.participant, 32), (key.roles, 16), (key.admin, 8), (key.generation, 16), (key.added_at, 40),
            (key.revoked_at, 40), (key.compromised_since, 40), (key.declared_at, 40),
        )  # fmt: skip
        _put(words, _slots_of(KeySlots, address), packed)
    for number, machine in content.machines.items():
        _put(words, _slots_of(MachineSlots, number), _pack((machine.owner, 32), (machine.retired_at, 40)))
    for number, model in content.models.items():
        packed = _pack(
            (model.inspector, 32), (model.approver, 32), (model.state, 8), (model.open, 8), (model.retired_at, 40),
            (model.withdrawn_at, 40), (model.defective_since, 40),
        )  # fmt: skip
        _put(words, _slots_of(ModelSlots, number), packed, model.digest, model.code.rjust(32, b"\0"))
    for identity in content.bundle.identities:
        name = subject_of(identity) if identity.kind is SubjectKind.MACHINE else b""
        if name in content.machine_numbers:
            _put(words, (_machine_slot(name),), content.machine_numbers[name].to_bytes(32, "big"))
        for index in range(len(identity.proofs) + 1):
            found = content.name_keys.get((identity.creator, index))
            if found is not None:
                slots = _slots_of(NameKeySlots, identity.creator, index)
                _put(words, slots, found.name_key_hash, _pack((found.set_at, 40), (found.sequence, 40)))
    return words | {slot: _ONE for contract, slot in _taken(content) if contract is Contract.REGISTRY}


def _ledger_words(content: Content) -> dict[bytes, bytes]:
    words: dict[bytes, bytes] = {}
    records = {record.sequence: record for record in content.bundle.records}
    for history in content.bundle.histories:
        head = content.heads.get(history.subject, _head_of(content.bundle, history, records))
        _put(words, (_head_slot(history.subject),), head)
    for name, stream in content.streams.items():
        packed = _pack((stream.sequence, 40), (stream.machine, 40), (stream.owner, 32), (stream.size, 40))
        _put(words, _slots_of(StreamSlots, name), packed, stream.root)
    return words | {slot: _ONE for contract, slot in _taken(content) if contract is Contract.LEDGER}


def _taken(content: Content) -> Iterator[tuple[Contract, bytes]]:
    """Where it is recorded that an identifier already has a subject by an earlier name key."""
    for one in content.bundle.identities:
        for name in subjects_of(one.kind, one.creator, one.identifier, one.proofs)[:-1]:
            if not content.taken.get(name):
                continue
            if one.kind is SubjectKind.MACHINE:
                yield Contract.REGISTRY, _machine_slot(name)
            else:
                slot = _slots_of(StreamSlots, name)[0] if one.kind is SubjectKind.STREAM else _head_slot(name)
                yield Contract.LEDGER, slot


def _pack(*members: tuple[int, int]) -> bytes:
    """Packs values like Solidity: the first member in the lowest bits."""
    total = shift = 0
    for value, bits in members:
        total |= int(value) << shift
        shift += bits
    return total.to_bytes(32, "big")


def _put(words: dict[bytes, bytes], slots: tuple[bytes, ...], *values: bytes) -> None:
    words.update(zip(slots, values, strict=True))


def _store(words: Mapping[bytes, bytes], nodes: dict[bytes, bytes], instead: Mapping[bytes, bytes]) -> bytes:
    """Builds a storage trie and returns its root."""
    values = {keccak256(slot): encode_rlp(word.lstrip(b"\0")) for slot, word in words.items() if any(word)}
    values.update({keccak256(slot): value for slot, value in instead.items()})
    return _build(values, nodes)


def _build(values: Mapping[bytes, bytes], nodes: dict[bytes, bytes]) -> bytes:
    root, built = _trie(tuple(sorted(values.items())))
    nodes.update(built)
    return root


@functools.lru_cache(maxsize=64)
def _trie(values: tuple[tuple[bytes, bytes], ...]) -> tuple[bytes, dict[bytes, bytes]]:
    """Root and nodes of a trie. Cached, because most forgeries leave most tries unchanged."""
    return build_nodes(values)


def _header(template: bytes, root: bytes, time: int, parent: bytes | None) -> bytes:
    """The template's header with another state root and time; with `parent`, as that block's child."""
    fields = [bytes(item) for item in decode_rlp(template, max_depth=1) if isinstance(item, bytes)]
    fields[_PLACES["stateRoot"]] = root
    fields[_PLACES["timestamp"]] = time.to_bytes(8, "big").lstrip(b"\0")
    if parent is not None:
        number = int.from_bytes(fields[_PLACES["number"]], "big") + 1
        fields[_PLACES["number"]] = number.to_bytes(8, "big").lstrip(b"\0")
        fields[_PLACES["parentHash"]] = parent
    return encode_header(fields)
