"""The tree against the RFC's recursive definition, the reference tree, and everything that a proof must not be."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from millmark.ledger.errors import ProofError
from millmark.ledger.merkle import (
    EMPTY_ROOT,
    Tree,
    leaf_hash,
    node_hash,
    root_from_multiproof,
    verify_consistency,
    verify_inclusion,
)

ROOT = Path(__file__).parents[3]
CORPUS = ROOT.parent / "shared" / "corpus" / "merkle-rfc6962"
VECTORS: list[dict[str, Any]] = json.loads((ROOT / "tests" / "vectors" / "merkle.json").read_text())
LEAVES = [leaf_hash(bytes([number])) for number in range(40)]
TREE = Tree(LEAVES)
ZERO = bytes(32)


def split(width: int) -> int:
    power = 1
    while power * 2 < width:
        power *= 2
    return power


def mth(leaves: list[bytes]) -> bytes:
    """RFC 9162 section 2.1.1, as written."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = split(len(leaves))
    return hashlib.sha256(b"\x01" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def path(m: int, leaves: list[bytes]) -> list[bytes]:
    """RFC 9162 section 2.1.3.1, as written."""
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if m < k:
        return [*path(m, leaves[:k]), mth(leaves[k:])]
    return [*path(m - k, leaves[k:]), mth(leaves[:k])]


def subproof(m: int, leaves: list[bytes], whole: bool) -> list[bytes]:
    """RFC 9162 section 2.1.4.1, as written."""
    if m == len(leaves):
        return [] if whole else [mth(leaves)]
    k = split(len(leaves))
    if m <= k:
        return [*subproof(m, leaves[:k], whole), mth(leaves[k:])]
    return [*subproof(m - k, leaves[k:], False), mth(leaves[:k])]


@pytest.mark.parametrize("size", range(41))
def test_agrees_with_the_recursive_definition(size: int) -> None:
    leaves = LEAVES[:size]
    root = mth(leaves)
    assert TREE.root(size) == Tree(leaves).root() == root
    for index in range(size):
        proof = TREE.inclusion_proof(index, size)
        assert proof == path(index, leaves)
        verify_inclusion(leaves[index], index, size, proof, root)
    for first in range(1, size + 1):
        proof = TREE.consistency_proof(first, size)
        assert proof == subproof(first, leaves, True)
        verify_consistency(first, size, proof, mth(leaves[:first]), root)


def test_reference_tree() -> None:
    if not CORPUS.exists():
        pytest.skip("corpus merkle-rfc6962 is absent")
    reference = json.loads((CORPUS / "reference-tree.json").read_text())
    tree = Tree()
    assert tree.root().hex() == reference["rootHashesBySizeHex"][0]
    hashes = set()
    for data, root in zip(reference["leafInputsHex"], reference["rootHashesBySizeHex"][1:], strict=True):
        tree.append(leaf_hash(bytes.fromhex(data)))
        assert tree.root().hex() == root
    for index in range(tree.size):
        hashes |= {element.hex() for element in tree.inclusion_proof(index)}
    assert hashes < set(reference["nodeHashesHexLevelOrder"])


@pytest.mark.parametrize("case", VECTORS, ids=lambda case: f"{case['kind']}-{case['says']}")
def test_vectors(case: dict[str, Any]) -> None:
    def run() -> None:
        proof = [bytes.fromhex(element) for element in case["proof"]]
        if case["kind"] == "inclusion":
            leaf, root = bytes.fromhex(case["leaf_hash"]), bytes.fromhex(case["root"])
            verify_inclusion(leaf, case["index"], case["size"], proof, root)
        else:
            first, second = bytes.fromhex(case["first_root"]), bytes.fromhex(case["second_root"])
            verify_consistency(case["first_size"], case["second_size"], proof, first, second)

    if case["holds"]:
        run()
    else:
        with pytest.raises(ProofError):
            run()


def test_vectors_refuse_more_than_they_accept() -> None:
    assert sum(not case["holds"] for case in VECTORS) > 5 * sum(case["holds"] for case in VECTORS)


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_no_other_index_size_or_proof_passes(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 40))
    index = data.draw(st.integers(0, size - 1))
    proof, root = TREE.inclusion_proof(index, size), TREE.root(size)
    other = data.draw(st.integers(-2, 45))
    if other != index:
        with pytest.raises(ProofError):
            verify_inclusion(LEAVES[index], other, size, proof, root)
    broken = list(proof)
    change = data.draw(st.sampled_from(["add", "drop", "flip", "swap", "cut"]))
    at = data.draw(st.integers(0, max(0, len(proof) - 1)))
    if change == "add":
        broken.insert(at, data.draw(st.binary(min_size=32, max_size=32)))
    else:
        assume(proof)
        element = broken.pop(at)
        if change == "flip":
            broken.insert(at, bytes([element[0] ^ 1]) + element[1:])
        elif change == "cut":
            broken.insert(at, element[:-1])
        elif change == "swap":
            broken.append(element)
            assume(broken != proof)
    with pytest.raises(ProofError):
        verify_inclusion(LEAVES[index], index, size, broken, root)


@settings(deadline=None, max_examples=200)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(-2, 45), st.data())
def test_no_other_history_passes(one: int, two: int, other: int, data: st.DataObject) -> None:
    first, second = sorted((one, two))
    proof = TREE.consistency_proof(first, second)
    roots = TREE.root(first), TREE.root(second)
    if other != first:
        with pytest.raises(ProofError):
            verify_consistency(other, second, proof, *roots)
    if proof:
        at = data.draw(st.integers(0, len(proof) - 1))
        with pytest.raises(ProofError):
            verify_consistency(first, second, [*proof[:at], ZERO, *proof[at + 1 :]], *roots)
        with pytest.raises(ProofError):
            verify_consistency(first, second, proof[:at] + proof[at + 1 :], *roots)
    with pytest.raises(ProofError):
        verify_consistency(first, second, [*proof, ZERO], *roots)
    with pytest.raises(ProofError):
        verify_consistency(first, second, proof, roots[0], ZERO)


@pytest.mark.parametrize("bad", [b"", ZERO[:-1], ZERO + b"\0", "0" * 32, bytearray(32), None, 0, memoryview(ZERO)])
def test_hashes_are_32_bytes(bad: Any) -> None:
    for call in (
        lambda: verify_inclusion(bad, 0, 1, [], ZERO),
        lambda: verify_inclusion(ZERO, 0, 1, [], bad),
        lambda: verify_inclusion(ZERO, 0, 2, [bad], ZERO),
        lambda: verify_consistency(1, 1, [], bad, bad),
        lambda: verify_consistency(1, 2, [bad], ZERO, ZERO),
        lambda: root_from_multiproof(1, {0: bad}, []),
        lambda: Tree([bad]),
    ):
        with pytest.raises(ProofError):
            call()


@pytest.mark.parametrize("bad", [True, False, -1, 2**64, 1.0, "1", None])
def test_sizes_and_indices_are_small_integers(bad: Any) -> None:
    root = LEAVES[0]
    for call in (
        lambda: verify_inclusion(root, bad, 2, [ZERO], root),
        lambda: verify_inclusion(root, 0, bad, [], root),
        lambda: verify_consistency(bad, 2, [], root, root),
        lambda: verify_consistency(1, bad, [], root, root),
        lambda: root_from_multiproof(bad, {0: root}, []),
    ):
        with pytest.raises(ProofError):
            call()


def test_the_empty_tree_proves_nothing() -> None:
    for second in (1, 2, 40):
        with pytest.raises(ProofError):
            verify_consistency(0, second, [], EMPTY_ROOT, TREE.root(second))
    with pytest.raises(ProofError):
        verify_consistency(0, 0, [], ZERO, ZERO)
    with pytest.raises(ProofError):
        verify_inclusion(EMPTY_ROOT, 0, 0, [], EMPTY_ROOT)
    verify_consistency(0, 0, [], EMPTY_ROOT, EMPTY_ROOT)
    with pytest.raises(ProofError):
        TREE.consistency_proof(0)


def test_a_tree_proves_nothing_beyond_itself() -> None:
    with pytest.raises(ProofError):
        TREE.inclusion_proof(40)
    with pytest.raises(ProofError):
        TREE.root(41)


@pytest.mark.parametrize("bad", [None, b"", {}, "", iter(())])
def test_a_proof_is_a_list(bad: Any) -> None:
    with pytest.raises(ProofError):
        verify_inclusion(LEAVES[0], 0, 1, bad, LEAVES[0])


def test_a_node_is_no_leaf() -> None:
    left, right = LEAVES[:2]
    assert leaf_hash(left + right) != node_hash(left, right)


def test_a_failed_extension_adds_nothing() -> None:
    tree = Tree(LEAVES[:3])
    with pytest.raises(ProofError):
        tree.extend([LEAVES[3], b"short"])
    assert (tree.size, tree.root()) == (3, TREE.root(3))
    assert tree.append(LEAVES[3]) == 3
    tree.extend(LEAVES[4:])
    assert tree.root() == TREE.root()


@settings(deadline=None, max_examples=150)
@given(st.integers(1, 40), st.data())
def test_multiproof_gives_the_root_and_no_other(size: int, data: st.DataObject) -> None:
    tree = Tree(LEAVES[:size])
    shown = data.draw(st.sets(st.integers(0, size - 1), min_size=1))
    leaves = {index: LEAVES[index] for index in shown}
    proof = tree.multiproof(shown)
    assert root_from_multiproof(size, leaves, proof) == tree.root()
    with pytest.raises(ProofError):
        root_from_multiproof(size, leaves, [*proof, ZERO])
    if proof:
        with pytest.raises(ProofError):
            root_from_multiproof(size, leaves, proof[1:])
    changed = {**leaves, min(shown): ZERO}
    assert root_from_multiproof(size, changed, proof) != tree.root()


def test_multiproof_refuses_nothing_shown_and_leaves_beyond() -> None:
    with pytest.raises(ProofError):
        root_from_multiproof(4, {}, [TREE.root(4)])
    with pytest.raises(ProofError):
        root_from_multiproof(4, {4: ZERO}, [TREE.root(4)])
    assert len(root_from_multiproof(2**64 - 1, {0: ZERO}, [ZERO] * 64)) == 32  # work does not grow with the size
