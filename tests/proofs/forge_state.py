"""Forgeries for step 1, files that express a bundle in another form or contain more than it may; and for steps 2 to 4:
other contracts, other blocks, other state."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

from millmark.ledger.bundle import Bundle, encode_bundle
from millmark.ledger.canonical import canonical_json, keccak256
from millmark.ledger.checkpoint import Checkpoint
from millmark.ledger.headers import FIELDS, decode_rlp, encode_header, encode_rlp, parse_header
from millmark.ledger.keys import LocalSigner
from millmark.ledger.slots import KeySlots, MachineSlots, ModelSlots, ParticipantSlots, slots_of
from millmark.ledger.trust import BelievedBlock, Cosigner, Cosigners, TrustFile
from millmark.ledger.verify import Step
from millmark.ledger.verify._proofs import StateProof
from tests.proofs.forging import DAY_S, MAX_AGE_S, Forged, changing, forgery
from tests.support.bundle_content import Content, copy_content, publish, publish_bytes

_STRUCTURE = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[\]{},:]', re.DOTALL)
_NUMBER = re.compile(rb'"(?:record|root|creator|at|chain_id)":([0-9]+)(?=[,}])')
"""Numbers of the bundle itself. In disclosed documents, another form of a number may be another value."""
_TABLES = ("contracts", "histories", "identities", "keys", "nodes", "participants", "records", "claims", "evidence")


def text(function: Callable[[bytes, Random], bytes | None]) -> None:
    """Registers a generator that changes the text."""

    def forge(content: Content, rng: Random) -> Forged | None:
        data, trust = publish_bytes(content)
        changed = function(data, rng)
        return None if changed is None else Forged(changed, trust, content.time + 100)

    forge.__name__ = function.__name__
    forgery(Step.FORMAT)(forge)


def value(function: Callable[[dict[str, Any], Random], bool | None]) -> None:
    """Registers a generator that changes the parsed value, which is then written canonically."""

    def change(data: bytes, rng: Random) -> bytes | None:
        parsed = json.loads(data)
        return None if function(parsed, rng) is False else canonical_json(parsed)

    change.__name__ = function.__name__
    text(change)


@text
def white_space(data: bytes, rng: Random) -> bytes:
    places = [found.end() for found in _STRUCTURE.finditer(data) if found[0][:1] != b'"']
    at = rng.choice(places)
    return data[:at] + rng.choice([b" ", b"\n", b"\t", b"\r", b"\xc2\xa0"]) + data[at:]


@text
def members_in_another_order(data: bytes, rng: Random) -> bytes:
    parsed = json.loads(data)
    names = list(parsed)
    one, two = sorted(rng.sample(range(1, len(names)), 2))
    names[one], names[two] = names[two], names[one]
    return _written({name: parsed[name] for name in names})


@text
def member_twice(data: bytes, rng: Random) -> bytes:
    name, content = rng.choice(list(json.loads(data).items()))
    return data[:-1] + b"," + _written({name: content})[1:]


@text
def other_number(data: bytes, rng: Random) -> bytes:
    found = rng.choice(list(_NUMBER.finditer(data)))
    form = rng.choice([b"0%s", b"%s.0", b"%se0", b"-%s", b"+%s", b"%s00000000000000000", b'"%s"'])
    return data[: found.start(1)] + form % found[1] + data[found.end(1) :]


@text
def other_base64(data: bytes, rng: Random) -> bytes | None:
    at = rng.choice([found.end() for found in re.finditer(rb'[\[,:]"[A-Za-z0-9_-]{43}(?=")', data)])
    digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = digits.index(data[at - 1 : at])
    changed = rng.choice([digits[last ^ 1 : (last ^ 1) + 1], data[at - 1 : at] + b"=", b"+", b"/", b"", b"AAA"])
    return data[: at - 1] + changed + data[at:]


@text
def truncated(data: bytes, rng: Random) -> bytes:
    """The file cut off at any byte."""
    return data[: rng.randrange(len(data))]


@text
def continued(data: bytes, rng: Random) -> bytes:
    return data + rng.choice([b"\n", b" ", b"\0", b"{}", b"}", data, rng.randbytes(rng.randrange(1, 40))])


@text
def preceded(data: bytes, rng: Random) -> bytes:
    return rng.choice([b"\xef\xbb\xbf", b" ", b"\n", b"[", rng.randbytes(rng.randrange(1, 40))]) + data


@text
def escaped_letter(data: bytes, rng: Random) -> bytes:
    names = list(re.finditer(rb'"([A-Za-z]+)"', data))
    found = rng.choice(names)
    at = rng.randrange(found.start(1), found.end(1))
    return data[:at] + b"\\u%04x" % data[at] + data[at + 1 :]


@text
def disclosed_key_twice(data: bytes, rng: Random) -> bytes:
    found = rng.choice(list(re.finditer(rb'\{"at":[0-9]+,', data)))
    return data[: found.end()] + found[0][1:] + data[found.end() :]


@text
def nested(data: bytes, rng: Random) -> bytes:
    """A disclosed value nested thousands of levels deep."""
    found = rng.choice(list(re.finditer(rb'"value":("[^"]*"|[0-9]+|true|false)', data)))
    depth = rng.randrange(40, 5000)
    return data[: found.start(1)] + b"[" * depth + b"]" * depth + data[found.end(1) :]


@text
def not_utf8(data: bytes, rng: Random) -> bytes:
    found = rng.choice(list(re.finditer(rb'"value":"', data)))
    return data[: found.end()] + bytes([rng.randrange(0x80, 0x100)]) + data[found.end() :]


@value
def member_missing(parsed: dict[str, Any], rng: Random) -> None:
    del parsed[rng.choice(list(parsed))]


@value
def member_more(parsed: dict[str, Any], rng: Random) -> None:
    parsed[f"x{rng.randrange(10**9)}"] = rng.choice([None, 1, "x", [], {}])


@value
def other_version(parsed: dict[str, Any], rng: Random) -> None:
    parsed["bundle_version"] = rng.choice([0, 2, -1, None, "1", True, 1.5, rng.randrange(3, 10**6)])


@value
def entries_swapped(parsed: dict[str, Any], rng: Random) -> bool | None:
    table = parsed[rng.choice(_TABLES)]
    if len(table) < 2:
        return False
    one, two = rng.sample(range(len(table)), 2)
    table[one], table[two] = table[two], table[one]
    return None


@value
def entry_twice(parsed: dict[str, Any], rng: Random) -> bool | None:
    table = parsed[rng.choice(_TABLES)]
    if not table:
        return False
    at = rng.randrange(len(table))
    table.insert(at, table[at])
    return None


@value
def entry_of_another_type(parsed: dict[str, Any], rng: Random) -> bool | None:
    table = parsed[rng.choice(_TABLES)]
    if not table:
        return False
    table[rng.randrange(len(table))] = rng.choice([None, True, [], {}, -1, "é", [[]], 1.5])
    return None


@value
def member_of_another_type(parsed: dict[str, Any], rng: Random) -> bool | None:
    name = rng.choice(list(parsed))
    other: Any = rng.choice([None, True, {}, "x", "é", [[]], [{}], 1.5])
    if name == "seals" and other is None:
        return False  # a bundle without seals, which those may believe who trust a checkpoint
    parsed[name] = other
    return None


@value
def too_long(parsed: dict[str, Any], rng: Random) -> None:
    name, size, most = rng.choice([("nodes", 533, 2000), ("headers", 16_385, 20_000), ("contracts", 21, 60)])
    parsed[name][rng.randrange(len(parsed[name]))] = _base64(rng.randbytes(rng.randrange(size, most)))


@value
def too_many(parsed: dict[str, Any], rng: Random) -> None:
    if rng.random() < 0.5:
        parsed["headers"] = parsed["headers"] * rng.randrange(258, 400)
    else:
        parsed["contracts"] = sorted(_base64(rng.randbytes(20)) for _ in range(rng.randrange(17, 40)))


@value
def malformed_header(parsed: dict[str, Any], rng: Random) -> None:
    at = rng.randrange(len(parsed["headers"]))
    header = parsed["headers"][at]
    parsed["headers"][at] = rng.choice([header[: 4 * rng.randrange(1, 100)], header + "AAAA", "AAAA" + header[4:]])


@value
def nothing_to_prove(parsed: dict[str, Any], rng: Random) -> None:
    parsed[rng.choice(["headers", "parts"])] = []
    parsed["chain_id"] += rng.randrange(10**6)


@value
def ragged_disclosure(parsed: dict[str, Any], rng: Random) -> None:
    """Paths that do not belong to one document, or positions that are not in it."""
    disclosure = rng.choice(parsed["claims"])["disclosure"]
    choice = rng.randrange(4)
    if choice == 0:
        disclosure["paths"].append(["\U0010ffff" * rng.randrange(1, 9), rng.randrange(1, 99)])
    elif choice == 1:
        disclosure["paths"].insert(0, disclosure["paths"][rng.randrange(len(disclosure["paths"]))])
    elif choice == 2:
        disclosure["shown"][-1]["at"] += rng.randrange(len(disclosure["paths"]), 10**6)
    else:
        disclosure["version"] = rng.randrange(2, 10**6)


@value
def odd_text(parsed: dict[str, Any], rng: Random) -> None:
    """Identifiers with characters that no identifier has."""
    identity = rng.choice(parsed["identities"])
    letter = rng.choice([" ", '"', "\\", "\n", "\0", "é", "\u202e", "\x7f"])
    at = rng.randrange(len(identity["identifier"]) + 1)
    identity["identifier"] = identity["identifier"][:at] + letter + identity["identifier"][at:]


def _written(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


# Step 2


@changing(Step.TRUST)
def another_chain(content: Content, rng: Random) -> None:
    """The same ledger on a staging chain, with all heads bound to that chain's id."""
    content.change(chain_id=rng.randrange(2**53))


@changing(Step.TRUST)
def another_ledger_id(content: Content, rng: Random) -> None:
    """The same ledger on a chain made anew with the same keys, with all heads bound to its id."""
    content.change(ledger_id=rng.randbytes(32))


@changing(Step.TRUST)
def another_address(content: Content, rng: Random) -> None:
    """A copy of one or both contracts at an address that the forger controls."""
    for old in rng.sample(content.bundle.contracts, rng.randrange(1, 4)):
        new = rng.randbytes(20)
        content.code_hashes[new] = content.code_hashes.pop(old)
        members = {name: new for name in ("registry", "ledger") if getattr(content.bundle, name) == old}
        contracts = tuple(sorted(new if one == old else one for one in content.bundle.contracts))
        content.change(contracts=contracts, **members)


@changing(Step.TRUST)
def another_code(content: Content, rng: Random) -> None:
    """The forger's code at the right addresses."""
    for address in rng.sample(content.bundle.contracts, rng.randrange(1, 4)):
        content.code_hashes[address] = rng.randbytes(32)


@changing(Step.TRUST)
def contract_unproved(content: Content, rng: Random) -> None:
    gone = rng.choice(content.bundle.contracts)
    content.change(contracts=tuple(one for one in content.bundle.contracts if one != gone))
    content.code_hashes[rng.randbytes(20)] = rng.randbytes(32)


@changing(Step.TRUST)
def contract_more(content: Content, rng: Random) -> None:
    address = rng.randbytes(20)
    content.code_hashes[address] = rng.randbytes(32)
    content.change(contracts=tuple(sorted((*content.bundle.contracts, address))))


@changing(Step.TRUST)
def swapped(content: Content, rng: Random) -> None:
    """Registry and ledger are exchanged."""
    content.change(registry=content.bundle.ledger, ledger=content.bundle.registry, chain_id=content.bundle.chain_id)
    content.time += rng.randrange(10**6)


@changing(Step.TRUST)
def malformed_account(content: Content, rng: Random) -> None:
    code, storage = rng.randbytes(32), rng.randbytes(32)
    forms = [b"", encode_rlp([b"\x01", b"", storage]), encode_rlp([b"\x00", b"", storage, code])]
    forms += [encode_rlp([b"", b"", storage, code[:31]]), encode_rlp([b"", b"\x00\x01", storage, code]), b"\x01"]
    forms += [encode_rlp([b"\x01", b"", storage, code]) + b"\x00", encode_rlp([b"", b"", storage + b"x", code])]
    content.accounts[rng.choice(content.bundle.contracts)] = rng.choice(forms)


# Step 3


def _trust_at(trust: TrustFile, header: bytes) -> TrustFile:
    parsed = parse_header(header)
    return replace(trust, checkpoint=BelievedBlock(parsed.number, parsed.hash))


@forgery(Step.CHECKPOINT)
def another_checkpoint(content: Content, rng: Random) -> Forged:
    bundle, trust = publish(_longer(content, rng))
    number = parse_header(bundle.headers[-1]).number
    believed = rng.choice([BelievedBlock(number, rng.randbytes(32)), BelievedBlock(number + 1, rng.randbytes(32))])
    return Forged(encode_bundle(bundle), replace(trust, checkpoint=believed), content.time + 100)


@forgery(Step.CHECKPOINT)
def right_hash_wrong_number(content: Content, rng: Random) -> Forged:
    bundle, trust = publish(_longer(content, rng))
    last = parse_header(bundle.headers[-1])
    believed = BelievedBlock(max(0, last.number + rng.choice([-1, 1]) * rng.randrange(1, 50)), last.hash)
    return Forged(encode_bundle(bundle), replace(trust, checkpoint=believed), content.time + 100)


@forgery(Step.CHECKPOINT)
def descendant(content: Content, rng: Random) -> Forged:
    """The forger's own block on top of the checkpoint."""
    changed = copy_content(content)
    bundle, trust = publish(changed)
    below = rng.randrange(2**20)
    fields = _fields(bundle.headers[0])
    fields[5] = rng.randbytes(32)
    believed = BelievedBlock(max(0, parse_header(bundle.headers[0]).number - 1 - below % 5), fields[0])
    headers = (encode_header(fields),)
    return Forged(
        encode_bundle(replace(bundle, headers=headers)), replace(trust, checkpoint=believed), content.time + 100
    )


@forgery(Step.CHECKPOINT)
def unlinked(content: Content, rng: Random) -> Forged:
    """A header between proof block and checkpoint is from another fork, or missing."""
    bundle, trust = publish(_longer(content, rng, least=2))
    headers = list(bundle.headers)
    at = rng.randrange(1, len(headers) - 1)
    choice = rng.randrange(3)
    if choice == 0:
        del headers[at]
    elif choice == 1:
        fields = _fields(headers[at])
        fields[0] = rng.randbytes(32)
        headers[at] = encode_header(fields)
    else:
        headers[at], headers[at + 1] = headers[at + 1], headers[at]
    trust = _trust_at(trust, headers[-1])
    return Forged(encode_bundle(replace(bundle, headers=tuple(headers))), trust, content.time + 100)


@forgery(Step.CHECKPOINT)
def numbered_wrongly(content: Content, rng: Random) -> Forged:
    """Headers that are linked by hash but not numbered consecutively."""
    bundle, trust = publish(_longer(content, rng))
    headers = [bundle.headers[0]]
    for header in bundle.headers[1:]:
        fields = _fields(header)
        fields[0] = parse_header(headers[-1]).hash
        fields[8] = (parse_header(header).number + rng.randrange(1, 99)).to_bytes(8, "big").lstrip(b"\0")
        headers.append(encode_header(fields))
    return Forged(
        encode_bundle(replace(bundle, headers=tuple(headers))), _trust_at(trust, headers[-1]), content.time + 100
    )


@forgery(Step.CHECKPOINT)
def too_old(content: Content, rng: Random) -> Forged:
    bundle, trust = publish(_longer(content, rng))
    return Forged(encode_bundle(bundle), trust, content.time + MAX_AGE_S + rng.randrange(1, 10**9))


@forgery(Step.CHECKPOINT)
def of_the_future(content: Content, rng: Random) -> Forged:
    bundle, trust = publish(_longer(content, rng))
    return Forged(encode_bundle(bundle), trust, content.time - DAY_S - rng.randrange(1, 10**9))


@forgery(Step.CHECKPOINT)
def badly_cosigned(content: Content, rng: Random) -> Forged:
    """Too few signers, unknown ones, a repeated one, another block, chain or ledger, or another order."""
    bundle, trust = publish(_longer(content, rng))
    signers = [LocalSigner.from_bytes(rng.randbytes(31) + b"\1") for _ in range(4)]
    keys = [Cosigner(1 + place // 2, one.address) for place, one in enumerate(signers)]
    cosigners = Cosigners(2, tuple(sorted(keys, key=lambda key: (key.participant, key.address))))
    last = parse_header(bundle.headers[-1])
    good = Checkpoint(bundle.chain_id, bundle.ledger, bundle.ledger_id, last.number, last.hash)
    stranger = LocalSigner.from_bytes(rng.randbytes(31) + b"\1")
    wrong = rng.choice(
        [
            replace(good, chain_id=good.chain_id ^ 1 << rng.randrange(40)),
            replace(good, ledger=rng.randbytes(20)),
            replace(good, ledger_id=rng.randbytes(32)),
            replace(good, block_number=good.block_number + rng.randrange(1, 9)),
            replace(good, block_hash=rng.randbytes(32)),
        ]
    )
    both = _signed(good, signers[0], signers[2])
    made: tuple[bytes, ...] = rng.choice(
        [
            (),
            _signed(good, signers[0]),
            _signed(good, signers[0], signers[1]),
            _signed(good, signers[0], stranger),
            _signed(good, signers[0], signers[2], stranger),
            _signed(wrong, signers[0], signers[2]),
            (both[0], both[0]),
            both[::-1],
            (both[0], _high(both[1])),
            (both[0][:64] + rng.choice([b"\x00", b"\x01", b"\x1d"]), both[1]),
        ]
    )
    trust = replace(trust, checkpoint=cosigners)
    return Forged(encode_bundle(replace(bundle, signatures=made)), trust, content.time + 100)


def _signed(checkpoint: Checkpoint, *signers: LocalSigner) -> tuple[bytes, ...]:
    ordered = sorted(signers, key=lambda one: one.address)
    return tuple(one.sign_digest(checkpoint.digest).to_bytes() for one in ordered)


def _high(signature: bytes) -> bytes:
    """The other valid signature by the same key, which the chain refuses (EIP-2)."""
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    s = order - int.from_bytes(signature[32:64], "big")
    return signature[:32] + s.to_bytes(32, "big") + bytes([55 - signature[64]])


def _longer(content: Content, rng: Random, least: int = 1) -> Content:
    changed = copy_content(content)
    changed.later = rng.randrange(least, least + 4)
    changed.time += rng.randrange(1000)
    return changed


def _fields(header: bytes) -> list[bytes]:
    assert FIELDS[5][0] == "receiptsRoot"
    assert FIELDS[8][0] == "number"
    return [bytes(item) for item in decode_rlp(header, max_depth=1) if isinstance(item, bytes)]


# Step 4


def _storage_nodes(bundle: Bundle, trust: TrustFile) -> list[bytes]:
    """Nodes that no account proof needs; removing one fails in step 4."""
    proof = StateProof(bundle, parse_header(bundle.headers[0]))
    proof.verify_contracts(bundle, trust)
    return [node for node in bundle.nodes if keccak256(node) not in proof._used]


@forgery(Step.PROOFS)
def node_missing(content: Content, rng: Random) -> Forged:
    bundle, trust = publish(content)
    gone = set(rng.sample(_storage_nodes(bundle, trust), rng.randrange(1, 4)))
    nodes = tuple(node for node in bundle.nodes if node not in gone)
    return Forged(encode_bundle(replace(bundle, nodes=nodes)), trust, content.time + 100)


@forgery(Step.PROOFS)
def node_changed(content: Content, rng: Random) -> Forged:
    bundle, trust = publish(content)
    old = rng.choice(_storage_nodes(bundle, trust))
    new = bytearray(old)
    new[rng.randrange(len(new))] ^= 1 << rng.randrange(8)
    nodes = tuple(sorted(bytes(new) if node == old else node for node in bundle.nodes))
    return Forged(encode_bundle(replace(bundle, nodes=nodes)), trust, content.time + 100)


@forgery(Step.PROOFS)
def node_more(content: Content, rng: Random) -> Forged:
    bundle, trust = publish(content)
    spare = [rng.randbytes(rng.randrange(1, 532)), encode_rlp([b"\x20" + rng.randbytes(30), rng.randbytes(33)])]
    nodes = tuple(sorted({*bundle.nodes, rng.choice(spare)}))
    return Forged(encode_bundle(replace(bundle, nodes=nodes)), trust, content.time + 100)


@forgery(Step.PROOFS)
def node_of_another_state(content: Content, rng: Random) -> Forged:
    """Tries of a later state in addition to those of the proof block."""
    bundle, trust = publish(content)
    changed = copy_content(content)
    number = rng.choice(list(changed.participants))
    changed.participants[number] = replace(changed.participants[number], sequence=rng.randrange(1, 2**40))
    other, _ = publish(changed)
    nodes = tuple(sorted({*bundle.nodes, *other.nodes}))
    return Forged(encode_bundle(replace(bundle, nodes=nodes)), trust, content.time + 100)


@changing(Step.PROOFS)
def entry_missing(content: Content, rng: Random) -> bool | None:
    """Storage proves that a participant, key, machine, model or stream does not exist."""
    tables = [content.participants, content.keys, content.machines, content.models, content.streams]
    table = rng.choice([table for table in tables if table])
    table.pop(rng.choice(list(table)))  # type: ignore[attr-defined, call-overload]  # a dictionary, whatever its key
    content.time += rng.randrange(10**6)
    return None


@changing(Step.PROOFS)
def entry_unknown(content: Content, rng: Random) -> None:
    """The bundle lists entries that storage does not have."""
    numbers = rng.choice(["participants", "machines", "models"])
    if rng.random() < 0.4:
        content.change(keys=tuple(sorted((*content.bundle.keys, rng.randbytes(20)))))
    elif rng.random() < 0.5:
        content.change(streams=tuple(sorted((*content.bundle.streams, rng.randbytes(32)))))
    else:
        known = getattr(content.bundle, numbers)
        content.change(**{numbers: tuple(sorted({*known, rng.randrange(1000, 2**30)}))})


@changing(Step.PROOFS)
def number_too_large(content: Content, rng: Random) -> None:
    """An identifier that the contract cannot hold."""
    name, bits = rng.choice([("participants", 32), ("machines", 40), ("models", 40)])
    known = getattr(content.bundle, name)
    content.change(**{name: (*known, (1 << bits) + rng.randrange(2**12))})


@changing(Step.PROOFS)
def impossible_word(content: Content, rng: Random) -> None:
    """Storage that Solidity never writes: bits outside members, booleans and enumerations beyond their last value."""
    participant = slots_of(ParticipantSlots, rng.choice(content.bundle.participants))[0]
    model = slots_of(ModelSlots, rng.choice(content.bundle.models))[0]
    machine = slots_of(MachineSlots, rng.choice(content.bundle.machines))[0]
    key = slots_of(KeySlots, rng.choice(content.bundle.keys))[0]
    flag, state = rng.randrange(2, 256), rng.randrange(5, 256)
    slot, word = rng.choice(
        [
            (participant, 1 | flag << 80 | 1 << 96),
            (participant, 1 | flag << 88 | 1 << 96),
            (key, 3 | flag << 48),
            (model, 6 | 7 << 32 | 2 << 64 | flag << 72),
            (model, 6 | 7 << 32 | state << 64),
            (participant, 1 | 1 << 96 | 1 << rng.randrange(176, 256)),
            (machine, 3 | 1 << rng.randrange(72, 256)),
            (key, 3 | 1 << rng.randrange(232, 256)),
        ]
    )
    content.words[slot] = encode_rlp(word.to_bytes(32, "big").lstrip(b"\0"))


@changing(Step.PROOFS)
def malformed_word(content: Content, rng: Random) -> None:
    """Storage values that no trie has."""
    slot = slots_of(KeySlots, rng.choice(content.bundle.keys))[0]
    some = bytes([rng.randrange(1, 256)]) + rng.randbytes(31)
    content.words[slot] = rng.choice(
        [
            encode_rlp(b"\0" + some[:20]),
            encode_rlp(some + b"\1"),
            encode_rlp([some]),
            b"\x80",
            encode_rlp(some) + b"\0",
            b"\x81" + bytes([some[0] & 0x7F]),
            b"\xb8\x20" + some,
        ]
    )
