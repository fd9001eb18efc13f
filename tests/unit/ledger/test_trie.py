"""State proofs against the reference trie, and everything that a proof must not be."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millmark.ledger.canonical import keccak256
from millmark.ledger.errors import ProofError
from millmark.ledger.headers import RlpItem, decode_rlp, encode_rlp
from millmark.ledger.trie import (
    EMPTY_ROOT,
    MAX_NODE_BYTES,
    MAX_PROOF_NODES,
    Account,
    TrieNode,
    parse_account,
    parse_word,
    verify_in,
    verify_proof,
)
from tests.support.tries import build_nodes, build_trie, path_of, prove

KEY = keccak256(b"key")
VALUE = encode_rlp(b"value")
SPREAD = {
    keccak256(n.to_bytes(2, "big")): encode_rlp(keccak256(n.to_bytes(3, "big"))[: 1 + n % 32]) for n in range(400)
}
NEAR = {bytes(31) + bytes([n]): encode_rlp(bytes([n + 1])) for n in range(0, 120, 3)}
"""Keys that differ in their last nibbles only: the nodes down there are shorter than their hashes."""
TRIES = {"spread": SPREAD, "near": NEAR, "one": {KEY: VALUE}, "both": {**SPREAD, **NEAR}}


def node_root(node: RlpItem) -> tuple[bytes, bytes]:
    encoded = encode_rlp(node)
    return keccak256(encoded), encoded


def hex_prefix(nibbles: str, leaf: bool) -> bytes:
    flag = 2 * leaf + len(nibbles) % 2
    return bytes.fromhex(f"{flag:x}{nibbles}" if len(nibbles) % 2 else f"{flag:x}0{nibbles}")


@pytest.mark.parametrize("name", TRIES)
def test_every_key_is_proved_present(name: str) -> None:
    built = build_trie(TRIES[name])
    for key, value in TRIES[name].items():
        assert verify_proof(built.root_hash, key, prove(built, key)) == value


@pytest.mark.parametrize("name", TRIES)
def test_other_keys_are_proved_absent(name: str) -> None:
    built = build_trie(TRIES[name])
    strangers = [keccak256(b"stranger" + bytes([n])) for n in range(200)] + [bytes(31) + bytes([n]) for n in range(200)]
    for key in strangers:
        assert verify_proof(built.root_hash, key, prove(built, key)) == TRIES[name].get(key)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.binary(min_size=32, max_size=32), st.binary(min_size=1, max_size=40), max_size=30), st.data())
def test_any_trie_agrees_with_the_reference(values: dict[bytes, bytes], data: st.DataObject) -> None:
    built = build_trie(values)
    near = st.sampled_from(sorted(values) or [KEY])
    key = data.draw(st.one_of(near, near.map(lambda known: known[:-1] + bytes([known[-1] ^ 1])), st.just(KEY)))
    assert verify_proof(built.root_hash, key, prove(built, key)) == values.get(key)


def test_near_keys_do_have_nodes_within_nodes() -> None:
    built = build_trie(NEAR)
    assert any(len(encode_rlp(node)) < 32 for node in path_of(built, bytes(32))[1:])
    assert len(prove(built, bytes(32))) < len(path_of(built, bytes(32)))


@pytest.mark.parametrize("name", TRIES)
def test_every_flipped_bit_is_refused(name: str) -> None:
    built = build_trie(TRIES[name])
    key = next(iter(TRIES[name]))
    proof = prove(built, key)
    for place, node in enumerate(proof):
        for bit in range(8 * len(node)):
            wrong = bytearray(node)
            wrong[bit // 8] ^= 1 << bit % 8
            with pytest.raises(ProofError):
                verify_proof(built.root_hash, key, [*proof[:place], bytes(wrong), *proof[place + 1 :]])


@pytest.mark.parametrize("name", TRIES)
def test_a_proof_with_other_nodes_is_refused(name: str) -> None:
    built = build_trie(TRIES[name])
    for key in list(TRIES[name])[:20]:
        proof = prove(built, key)
        wrongs = [proof[:-1], proof[1:], [*proof, proof[-1]], [proof[0], *proof], [*proof, VALUE]]
        if len(proof) > 1:
            wrongs += [proof[::-1], [proof[1], proof[0], *proof[2:]]]
        for wrong in wrongs:
            with pytest.raises(ProofError):
                verify_proof(built.root_hash, key, wrong)


def test_a_proof_for_another_key_or_root_is_refused() -> None:
    built = build_trie(SPREAD)
    keys = list(SPREAD)
    proof = prove(built, keys[0])
    other = next(key for key in keys if key.hex()[0] != keys[0].hex()[0])
    with pytest.raises(ProofError, match="does not have the hash"):
        verify_proof(built.root_hash, other, proof)
    with pytest.raises(ProofError, match="does not have the hash"):
        verify_proof(keccak256(b"other"), keys[0], proof)


def test_an_empty_trie_needs_no_nodes_and_takes_none() -> None:
    assert verify_proof(EMPTY_ROOT, KEY, []) is None
    with pytest.raises(ProofError, match="superfluous"):
        verify_proof(EMPTY_ROOT, KEY, [b"\x80"])
    with pytest.raises(ProofError, match="lacks node"):
        verify_proof(keccak256(b"x"), KEY, [])


@pytest.mark.parametrize(
    ("root", "key", "nodes"),
    [
        (bytes(31), KEY, []),
        (bytes(33), KEY, []),
        (EMPTY_ROOT.hex(), KEY, []),
        (EMPTY_ROOT, KEY[:31], []),
        (EMPTY_ROOT, KEY + b"\0", []),
        (EMPTY_ROOT, b"", []),
        (EMPTY_ROOT, KEY, b""),
        (EMPTY_ROOT, KEY, None),
        (KEY, KEY, [None]),
        (KEY, KEY, ["00"]),
        (KEY, KEY, [bytes(MAX_NODE_BYTES + 1)]),
        (KEY, KEY, [b""] * (MAX_PROOF_NODES + 1)),
    ],
)
def test_other_lengths_and_types_are_refused(root: bytes, key: bytes, nodes: list[bytes]) -> None:
    with pytest.raises(ProofError):
        verify_proof(root, key, nodes)


ZEROS = bytes(32)
LEAF = [hex_prefix("0" * 64, True), VALUE]


def deep_leaf(nibbles: int) -> RlpItem:
    return [hex_prefix("0" * nibbles, True), VALUE]


def branch(**children: RlpItem) -> list[RlpItem]:
    found: list[RlpItem] = [b""] * 17
    for name, child in children.items():
        found[int(name[1:])] = child
    return found


@pytest.mark.parametrize(
    ("node", "why"),
    [
        (b"text", "neither two"),
        ([], "neither two"),
        ([b"", b"", b""], "neither two"),
        ([*LEAF, b""], "neither two"),
        ([hex_prefix("0" * 63, True), VALUE], "depth of its key"),
        ([hex_prefix("0" * 64 + "00", True), VALUE], "not 1 to 33"),
        ([hex_prefix("0" * 65, True), VALUE], "depth of its key"),
        ([hex_prefix("", True), VALUE], "depth of its key"),
        ([hex_prefix("1" * 63, True), VALUE], "depth of its key"),
        ([b"", VALUE], "not 1 to 33"),
        ([[b"\x20"], VALUE], "not 1 to 33"),
        ([b"\x40" + bytes(32), VALUE], "unknown prefix"),
        ([b"\x21" + bytes(32), VALUE], "unknown prefix"),
        ([b"\xf0" + bytes(32), VALUE], "unknown prefix"),
        ([b"\x01" + bytes(2), KEY], "unknown prefix"),
        ([LEAF[0], b""], "no value"),
        ([LEAF[0], [VALUE]], "no value"),
        ([hex_prefix("", False), KEY], "no path"),
        ([hex_prefix("0" * 64, False), KEY], "longer"),
        ([hex_prefix("00", False), KEY[:31]], "referenced by 31"),
        ([hex_prefix("00", False), b""], "referenced by 0"),
        ([hex_prefix("00", False), deep_leaf(62)], "not shorter than a hash"),
        ([hex_prefix("0" * 62, False), deep_leaf(2)], "not lead to a branch"),
        ([hex_prefix("0" * 62, False), [b"", b"", b""]], "neither two"),
        (branch(c0=KEY), "fewer than two"),
        (branch(), "fewer than two"),
        (branch(c0=KEY, c1=KEY, c16=b"v"), "has a value"),
        (branch(c0=KEY[:5], c1=KEY), "referenced by 5"),
        (branch(c0=deep_leaf(63), c1=KEY), "not shorter than a hash"),
        (branch(c0=[b"\x20", b"v"], c1=KEY), "depth of its key"),
    ],
)
def test_nodes_that_no_honest_trie_has_are_refused_though_their_hash_is_right(node: RlpItem, why: str) -> None:
    root, encoded = node_root(node)
    with pytest.raises(ProofError, match=why):
        verify_proof(root, ZEROS, [encoded])


def test_a_node_beyond_the_largest_is_refused_though_its_hash_is_right() -> None:
    root, encoded = node_root([hex_prefix("0" * 64, True), bytes(MAX_NODE_BYTES)])
    with pytest.raises(ProofError, match=f"more than {MAX_NODE_BYTES}"):
        verify_proof(root, ZEROS, [encoded])


def test_an_extension_before_a_leaf_is_refused_behind_a_hash_too() -> None:
    below, leaf = node_root([hex_prefix("0" * 60, True), VALUE])
    root, encoded = node_root([hex_prefix("0" * 4, False), below])
    with pytest.raises(ProofError, match="not lead to a branch"):
        verify_proof(root, ZEROS, [encoded, leaf])


def test_a_short_node_behind_a_hash_is_refused() -> None:
    short, leaf = node_root([hex_prefix("0", True), b"v"])
    last, below = node_root(branch(c0=short, c1=KEY))
    root, encoded = node_root([hex_prefix("0" * 62, False), last])
    with pytest.raises(ProofError, match="although it is shorter"):
        verify_proof(root, ZEROS, [encoded, below, leaf])


def test_branches_below_the_keys_end_are_refused() -> None:
    child = b"\1" * 32
    nodes: list[bytes] = []
    for _ in range(65):
        child, encoded = node_root(branch(c0=child, c1=KEY))
        nodes.insert(0, encoded)
    with pytest.raises(ProofError, match="longer than its keys"):
        verify_proof(child, ZEROS, nodes)


def test_an_encoding_that_is_not_the_shortest_is_refused() -> None:
    shortest = encode_rlp(LEAF)
    longer = b"\xf8" + bytes([len(shortest) - 1]) + shortest[1:]
    with pytest.raises(ProofError, match="shortest form"):
        verify_proof(keccak256(longer), ZEROS, [longer])


def test_a_shared_set_gives_the_same_and_tells_what_was_used() -> None:
    built = build_trie(SPREAD)
    keys = list(SPREAD)[:50] + [keccak256(b"stranger" + bytes([n])) for n in range(20)]
    nodes = {keccak256(node): node for key in keys for node in prove(built, key)}
    spare = keccak256(VALUE)
    used: dict[bytes, TrieNode] = {}
    for key in keys:
        assert verify_in({**nodes, spare: VALUE}, built.root_hash, key, used) == SPREAD.get(key)
    assert used.keys() == nodes.keys()


def test_the_builder_of_the_forgeries_builds_what_the_reference_implementation_builds() -> None:
    random_ = random.Random(8)  # noqa: S311  # repeatable, not secret
    for count in (0, 1, 2, 3, 17, 300):
        # Keys that agree in almost all nibbles have nodes that are embedded in their parents.
        close = [random_.randbytes(30) + bytes(2)]
        keys = {random_.choice(close)[: random_.choice([0, 1, 29, 31])] for _ in range(count)}
        values = {
            key + random_.randbytes(32 - len(key)): random_.choice([b"\x01", random_.randbytes(33)]) for key in keys
        }
        values |= {
            random_.randbytes(32): random_.randbytes(random_.randrange(1, 40)) for _ in range(count - len(values))
        }
        built = build_trie(values)
        root, nodes = build_nodes(sorted(values.items()))
        assert root == built.root_hash
        assert {node for key in values for node in prove(built, key)} == set(nodes.values())


def test_a_shared_set_with_a_node_missing_or_under_another_hash_is_refused() -> None:
    built = build_trie(SPREAD)
    key = next(iter(SPREAD))
    proof = prove(built, key)
    nodes = {keccak256(node): node for node in proof}
    for gone in nodes:
        with pytest.raises(ProofError, match="lacks node"):
            verify_in({name: node for name, node in nodes.items() if name != gone}, built.root_hash, key, {})
    wrong = dict(zip(nodes, list(nodes.values())[::-1], strict=True))
    with pytest.raises(ProofError, match="does not have the hash"):
        verify_in(wrong, built.root_hash, key, {})


def test_no_random_change_of_a_set_of_nodes_gives_another_value() -> None:
    random_ = random.Random(7)  # noqa: S311  # repeatable, not secret
    built = build_trie(TRIES["both"])
    for key in random_.sample(sorted(TRIES["both"]), 40):
        proof = prove(built, key)
        for _ in range(25):
            wrong = list(proof)
            place = random_.randrange(len(wrong))
            cut = random_.randrange(len(wrong[place]))
            wrong[place] = random_.choice(
                [
                    wrong[place][:cut],
                    wrong[place][:cut] + random_.randbytes(1) + wrong[place][cut:],
                    random_.randbytes(40),
                ]
            )
            with pytest.raises(ProofError):
                verify_proof(built.root_hash, key, wrong)


# Values

FIELDS: list[RlpItem] = [b"\1", b"\2\0", EMPTY_ROOT, keccak256(b"")]


def test_an_account_is_read() -> None:
    assert parse_account(encode_rlp(FIELDS)) == Account(1, 512, EMPTY_ROOT, keccak256(b""))
    assert parse_account(encode_rlp([b"", b"", *FIELDS[2:]])).nonce == 0


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\x80",
        encode_rlp([]),
        encode_rlp(FIELDS[:3]),
        encode_rlp([*FIELDS, b""]),
        encode_rlp([b"\0", *FIELDS[1:]]),
        encode_rlp([b"\1" * 9, *FIELDS[1:]]),
        encode_rlp([b"", b"\1" * 33, *FIELDS[2:]]),
        encode_rlp([b"", b"\0\1", *FIELDS[2:]]),
        encode_rlp([b"", b"", KEY[:31], KEY]),
        encode_rlp([b"", b"", KEY, KEY + b"\0"]),
        encode_rlp([b"", b"", [KEY], KEY]),
        encode_rlp(FIELDS) + b"\0",
        encode_rlp(FIELDS)[:-1],
    ],
)
def test_what_is_no_account_is_refused(value: bytes) -> None:
    with pytest.raises(ProofError):
        parse_account(value)


def test_a_word_is_read() -> None:
    assert parse_word(None) == parse_word(b"\x80") == bytes(32)
    assert parse_word(b"\1") == bytes(31) + b"\1"
    assert parse_word(encode_rlp(KEY)) == KEY


@pytest.mark.parametrize(
    "value", [b"", b"\0", encode_rlp(b"\0\1"), encode_rlp(KEY + b"\1"), encode_rlp([b"\1"]), b"\x01\x01"]
)
def test_what_a_storage_trie_never_keeps_is_refused(value: bytes) -> None:
    with pytest.raises(ProofError):
        parse_word(value)


def test_nodes_are_parsed_as_deep_as_they_can_honestly_be() -> None:
    leaves = branch(c0=[hex_prefix("", True), b"a"], c1=[hex_prefix("", True), b"b"])
    nested = branch(c0=[hex_prefix("0" * 1, False), leaves], c1=KEY)
    assert len(encode_rlp(leaves)) < 32
    root, encoded = node_root(nested)
    top, above = node_root([hex_prefix("0" * 61, False), root])
    assert verify_proof(top, ZEROS, [above, encoded]) == b"a"
    assert decode_rlp(encoded, max_depth=4) == nested
