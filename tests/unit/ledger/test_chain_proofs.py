"""State proofs from a node: those of the embedded chain hold at every block, others are not passed on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from millmark.ledger.canonical import keccak256
from millmark.ledger.chain import (
    EmbeddedChain,
    Node,
    Transaction,
    call_data,
    fetch_headers,
    fetch_proofs,
    sign_transaction,
)
from millmark.ledger.errors import ChainError, ChainUnreachableError
from millmark.ledger.headers import FIELDS, RlpItem, encode_rlp, parse_header
from millmark.ledger.keys import LocalSigner
from millmark.ledger.records import ALL_ROLES, Admit, Contract, PublicationKind, Publish, Role, SetNameKey
from millmark.ledger.slots import KeySlots, NameKeySlots, ParticipantSlots, decode_struct, published_slot, slots_of
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.trie import EMPTY_ROOT, TrieNode, verify_in
from tests.support.ledger_world import LedgerWorld, build_world
from tests.support.rpc import ScriptedNode
from tests.support.stores import new_store

COMPANIES = 12
STRANGER = keccak256(b"stranger")[:20]


@pytest.fixture(scope="module")
def admitted() -> tuple[LedgerWorld, list[LocalSigner]]:
    """A registry with some companies, one a block."""
    world = build_world()
    signers = [LocalSigner.generate() for _ in range(COMPANIES)]
    for nonce, signer in enumerate(signers, start=world.nonces(world.owner)):
        _send(world, nonce, signer)
    return world, signers


def _send(world: LedgerWorld, nonce: int, signer: LocalSigner) -> None:
    data = call_data(Admit(int(Role.BUYER), signer.address, bytes(32)))
    chain = world.chain
    transaction = Transaction(chain.chain_id, nonce, 1, 10**10, 300_000, chain.registry, data)
    chain.node.send(sign_transaction(transaction, world.owner).raw)


def _company_slots() -> list[bytes]:
    return [slots_of(ParticipantSlots, number)[0] for number in range(1, COMPANIES + 1)]


World = tuple[LedgerWorld, list[LocalSigner]]


def test_what_is_proved_is_what_the_contract_says(admitted: World) -> None:
    world, _ = admitted
    registry = world.chain.registry
    slots = _company_slots()
    found = fetch_proofs(world.chain.node, {registry: slots}, world.chain.node.block_number())
    for number in range(1, COMPANIES + 1):
        company = decode_struct(ParticipantSlots, [found.words[registry, slots_of(ParticipantSlots, number)[0]]])
        stated = world.chain.read_struct(Contract.REGISTRY, "participantOf", number)
        assert (company.roles, company.sequence) == (stated["roles"], stated["sequence"]) == (Role.BUYER, number)
    account = found.accounts[registry]
    assert account is not None
    assert account.code_hash == keccak256(world.chain.node.code(registry))
    assert found.header.hash == world.chain.node.header(found.header.number).hash


def test_every_block_s_state_is_kept(admitted: World) -> None:
    world, _ = admitted
    registry, last = world.chain.registry, world.chain.node.block_number()
    for age in range(COMPANIES):
        slots = _company_slots()
        found = fetch_proofs(world.chain.node, {registry: slots}, last - age)
        assert sum(any(found.words[registry, slot]) for slot in slots) == COMPANIES - age
    before = fetch_proofs(world.chain.node, {registry: slots}, 0)
    assert before.accounts == {registry: None}
    assert not any(any(word) for word in before.words.values())


def test_nodes_are_shared_and_none_is_spare(admitted: World) -> None:
    world, _ = admitted
    registry = world.chain.registry
    slots = _company_slots()
    wanted = {registry: slots, world.chain.ledger: (), STRANGER: ()}
    found = fetch_proofs(world.chain.node, wanted, world.chain.node.block_number())
    assert found.accounts[STRANGER] is None
    used: dict[bytes, TrieNode] = {}
    for address in wanted:
        verify_in(found.nodes, found.header.state_root, keccak256(address), used)
    account = found.accounts[registry]
    assert account is not None
    for slot in slots:
        verify_in(found.nodes, account.storage_root, keccak256(slot), used)
    assert used.keys() == found.nodes.keys()


def test_many_slots_are_asked_for_in_parts(admitted: World) -> None:
    world, _ = admitted
    slots = [slots_of(ParticipantSlots, number)[0] for number in range(700)]
    world.line.passed.clear()
    found = fetch_proofs(world.chain.node, {world.chain.registry: [*slots, *slots]}, 3)
    assert len(found.words) == 700
    assert world.line.passed.count("eth_getProof") == 3


def test_headers_are_fetched_in_order(admitted: World) -> None:
    world, _ = admitted
    headers = fetch_headers(world.chain.node, 2, 7)
    assert [parse_header(header).number for header in headers] == [2, 3, 4, 5, 6, 7]


def test_a_later_block_than_the_last_has_no_proof(admitted: World) -> None:
    world, _ = admitted
    with pytest.raises(ChainError):
        fetch_proofs(world.chain.node, {STRANGER: ()}, world.chain.node.block_number() + 1)
    with pytest.raises(ChainError, match="unknown block"):
        world.chain.node.proof(STRANGER, (), world.chain.node.block_number() + 1)


def test_a_block_is_named_as_nodes_take_it(admitted: World) -> None:
    world, _ = admitted
    last = world.chain.node.block_number()
    ask = world.line.node.request
    for name in ("latest", "safe", hex(last)):
        assert ask("eth_getProof", ["0x" + STRANGER.hex(), ["0x0"], name])["storageHash"] == "0x" + EMPTY_ROOT.hex()


# Nodes that lie, lack or garble

Bend = Callable[[dict[str, Any]], object]


def bent(world: LedgerWorld, method: str, bend: Bend) -> Node:
    """The world's node, one kind of answer changed."""
    real = world.line.node

    def answer(*params: Any) -> Any:
        raw = real.request(method, list(params))
        bend(raw)
        return raw

    honest = {name: _passing(real, name) for name in ("eth_getProof", "eth_getBlockByNumber")}
    return Node(ScriptedNode({**honest, method: answer}))


def _passing(real: Any, name: str) -> Callable[..., Any]:
    return lambda *params: real.request(name, list(params))


PROOFS: dict[str, Bend] = {
    "an account node missing": lambda raw: raw["accountProof"].pop(),
    "an account node more": lambda raw: raw["accountProof"].append(raw["accountProof"][0]),
    "no account nodes": lambda raw: raw["accountProof"].clear(),
    "a storage node missing": lambda raw: raw["storageProof"][0]["proof"].pop(),
    "no storage nodes": lambda raw: raw["storageProof"][0]["proof"].clear(),
    "a changed node": lambda raw: raw["storageProof"][0].update(proof=["0x" + "ab" * 60]),
    "another slot's nodes": lambda raw: raw["storageProof"][0].update(proof=raw["storageProof"][1]["proof"]),
    "a slot less": lambda raw: raw["storageProof"].pop(),
    "a slot more": lambda raw: raw["storageProof"].append(raw["storageProof"][0]),
    "no list of nodes": lambda raw: raw.update(accountProof=None),
    "no proofs": lambda raw: raw.pop("storageProof"),
    "nodes that are no bytes": lambda raw: raw.update(accountProof=["0xzz"]),
    "nodes that are no text": lambda raw: raw.update(accountProof=[7]),
}


@pytest.mark.parametrize("name", PROOFS)
def test_an_answer_that_proves_nothing_is_no_proof(admitted: World, name: str) -> None:
    world, _ = admitted
    slots = _company_slots()
    node = bent(world, "eth_getProof", PROOFS[name])
    with pytest.raises(ChainUnreachableError):
        fetch_proofs(node, {world.chain.registry: slots}, world.chain.node.block_number())


def other(name: str) -> Bend:
    return lambda raw: raw.update({name: raw[name][:-1] + ("0" if raw[name][-1] != "0" else "1")})


def without(name: str) -> Bend:
    return lambda raw: raw.pop(name)


HEADERS: dict[str, Bend] = {
    **{f"another {name}": other(name) for name, _, _ in FIELDS},
    **{f"no {name}": without(name) for name, _, _ in FIELDS},
    "another hash": lambda raw: raw.update(hash="0x" + "ab" * 32),
    "a short hash": lambda raw: raw.update(hash="0xab"),
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_that_is_not_its_hash_s_is_refused(admitted: World, name: str) -> None:
    world, _ = admitted
    node = bent(world, "eth_getBlockByNumber", HEADERS[name])
    with pytest.raises(ChainUnreachableError):
        fetch_proofs(node, {world.chain.registry: ()}, 4)


def test_another_block_s_header_is_refused(admitted: World) -> None:
    world, _ = admitted
    real = world.line.node
    node = Node(ScriptedNode({"eth_getBlockByNumber": lambda *_: real.request("eth_getBlockByNumber", ["0x3", False])}))
    with pytest.raises(ChainUnreachableError, match="is not that of its header"):
        fetch_headers(node, 4, 4)


def test_a_branch_that_changes_meanwhile_is_noticed(admitted: World) -> None:
    world, other = admitted[0], build_world(EmbeddedChain())
    other.fund(LocalSigner.generate())
    nodes = {4: other.line.node}
    split = Node(
        ScriptedNode(
            {
                "eth_getBlockByNumber": lambda number, full: nodes.get(int(number, 16), world.line.node).request(
                    "eth_getBlockByNumber", [number, full]
                )
            }
        )
    )
    with pytest.raises(ChainUnreachableError, match="does not follow"):
        fetch_headers(split, 3, 5)


def test_engines_that_repeat_short_nodes_or_show_empty_tries_are_understood(admitted: World) -> None:
    world, _ = admitted

    def pad(raw: dict[str, Any]) -> None:
        raw["accountProof"].append("0x" + encode_rlp([b"\x20", b"v"]).hex())
        for entry in raw["storageProof"]:
            entry["proof"].append("0xc0")

    slots = _company_slots()[:1]
    node = bent(world, "eth_getProof", pad)
    assert fetch_proofs(node, {world.chain.registry: slots}, 5).nodes
    empty = bent(world, "eth_getProof", lambda raw: raw["storageProof"][0].update(proof=["0x80"]))
    assert fetch_proofs(empty, {STRANGER: slots}, 5).words == {(STRANGER, slots[0]): bytes(32)}


def test_where_seals_are_outside_the_hash_they_are_taken_out(admitted: World) -> None:
    extra: list[RlpItem] = [b"v" * 32, [b"\1" * 20], [], b"\5", [b"s" * 65]]
    world, _ = admitted

    def seal(raw: dict[str, Any]) -> None:
        fields = _fields(raw, encode_rlp([*extra[:3], b"", []]))
        raw.update(extraData="0x" + encode_rlp(extra).hex(), hash="0x" + keccak256(encode_rlp(fields)).hex())

    node = bent(world, "eth_getBlockByNumber", seal)
    (header,) = fetch_headers(node, 4, 4)
    assert parse_header(header).hash == node.header(4).hash
    spoilt = bent(world, "eth_getBlockByNumber", lambda raw: raw.update(extraData="0x" + encode_rlp(extra).hex()))
    with pytest.raises(ChainUnreachableError, match="is not that of its header"):
        fetch_headers(spoilt, 4, 4)


def _fields(raw: dict[str, Any], extra_data: bytes) -> list[bytes]:
    fields = []
    for name, is_integer, _ in FIELDS:
        digits = raw[name][2:]
        value = bytes.fromhex(digits if len(digits) % 2 == 0 else "0" + digits)
        fields.append(extra_data if name == "extraData" else value.lstrip(b"\0") if is_integer else value)
    return fields


def test_keys_name_keys_and_what_is_published_are_proved_by_slot(tmp_path: Path) -> None:
    """An earlier name key stays provable when another one follows it; the slot after the last is empty."""
    world, hashes, directory = build_world(), (b"\x01" * 32, b"\x02" * 32), b"\x03" * 32
    with new_store(tmp_path) as store:
        outbox = Outbox(store)
        signer = world.admit(outbox)
        company, owner = world.submitter(outbox, signer), world.submitter(outbox, world.owner)
        company.submit([(f"name-{one.hex()}", SetNameKey(one)) for one in hashes])
        company.drain()
        owner.submit([("publish", Publish(PublicationKind.DIRECTORY, directory))])
        owner.drain()
    slots = [
        *(slot for index in range(3) for slot in slots_of(NameKeySlots, 1, index)),
        published_slot(PublicationKind.DIRECTORY),
        *slots_of(KeySlots, signer.address),
        *slots_of(ParticipantSlots, 1),
    ]
    registry, node = world.chain.registry, world.chain.node
    found = fetch_proofs(node, {registry: slots}, node.block_number())
    *names, published, key, participant = (found.words[registry, slot] for slot in slots)
    first, second, none = (decode_struct(NameKeySlots, names[at : at + 2]) for at in (0, 2, 4))
    assert (first.name_key_hash, second.name_key_hash, published) == (*hashes, directory)
    assert 0 < first.set_at <= second.set_at
    assert 0 < first.sequence == second.sequence - 1
    assert none == NameKeySlots(bytes(32), 0, 0)
    assert decode_struct(ParticipantSlots, [participant]).name_keys == 2
    shown = decode_struct(KeySlots, [key])
    assert (shown.participant, shown.roles, shown.admin, shown.generation) == (1, ALL_ROLES, True, 0)
