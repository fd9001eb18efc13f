"""Evidence: the leaf's layout, proofs of entries, and what an inference context binds."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millmark.ledger.errors import CanonicalError, ProofError, RecordError
from millmark.ledger.evidence import (
    EVIDENCE_TAG,
    EvidenceLog,
    LeafKind,
    build_inference_context,
    build_leaf_data,
    build_window_commitment,
    build_window_entry,
)
from millmark.ledger.merkle import leaf_hash, verify_consistency, verify_inclusion

SALT = bytes(range(32))
ENTRY: Any = {"unit": "um", "machine": "LATHE-1", "values": [1, -2, 3]}
LEAF_DATA = b"millmark.evidence.v1\0\x01" + SALT + b'{"machine":"LATHE-1","unit":"um","values":[1,-2,3]}'
LEAF_HASH = "0b3f13d7f3228ea473259ca1d48b98908160d3cf671457dbb8245c0a3af09ae3"
CONTEXT: dict[str, Any] = {
    "chain_id": 1337,
    "ledger": b"\x11" * 20,
    "lot": b"\x22" * 32,
    "stream": b"\x33" * 32,
    "leaf_index": 5,
    "leaf": b"\x44" * 32,
}
CONTEXT_HASH = "f90f52f594b38fdaeba21f81f4a9937254467b1755270b91cbd477929e18360f"


def test_the_layout_of_a_leaf_is_fixed() -> None:
    assert build_leaf_data(LeafKind.EVENT, SALT, ENTRY) == LEAF_DATA
    assert EVIDENCE_TAG == b"millmark.evidence.v1\0"
    assert leaf_hash(LEAF_DATA) == hashlib.sha256(b"\0" + LEAF_DATA).digest()
    assert leaf_hash(LEAF_DATA).hex() == LEAF_HASH


def test_the_layout_of_a_windows_leaf_is_fixed() -> None:
    """As contracts/src/libraries/EvidenceLeaf.sol rebuilds it."""
    window = (2**64 - 5).to_bytes(8, "big") + (7).to_bytes(8, "big")
    commitment = build_window_commitment(b"\x66" * 32, window)
    assert commitment == hashlib.sha256(b"millmark/input/1" + b"\x66" * 32 + b"\0\2" + window).digest()
    entry = build_window_entry(b"\x22" * 32, commitment, 3, 5, 1)
    lot = "0x" + "22" * 32
    text = f'{{"commitment":"0x{commitment.hex()}","first":3,"last":5,"lot":"{lot}","start":1}}'.encode()
    hidden = hashlib.sha256(SALT + text).digest()
    data = build_leaf_data(LeafKind.WINDOW, SALT, entry)
    assert data == b"millmark.evidence.v1\0\x02" + b"\x22" * 32 + commitment + hidden
    assert len(data) == 118


@pytest.mark.parametrize("entry", [{}, [], {"lot": "0x22", "commitment": "0x" + "11" * 32}, {"lot": "0x" + "22" * 32}])
def test_a_window_without_lot_or_commitment_is_refused(entry: Any) -> None:
    with pytest.raises(RecordError, match="a window's entry has no"):
        EvidenceLog().append(entry, kind=LeafKind.WINDOW)


@pytest.mark.parametrize("size", [0, 7, 9, 8 * 2**16])
def test_a_window_of_another_length_is_refused(size: int) -> None:
    with pytest.raises(RecordError, match="a window has"):
        build_window_commitment(SALT, bytes(size))


def test_one_entry_is_another_leaf_by_its_kind() -> None:
    kinds = [kind for kind in LeafKind if kind is not LeafKind.WINDOW]
    assert len({EvidenceLog().append(ENTRY, SALT, kind).leaf_hash for kind in kinds}) == 5


def test_the_order_of_keys_is_no_part_of_an_entry() -> None:
    assert build_leaf_data(LeafKind.EVENT, SALT, dict(reversed(ENTRY.items()))) == LEAF_DATA


@pytest.mark.parametrize("entry", [{"a": 2**53}, {"a": float("nan")}, {"a": b"x"}, {1: 2}, {"a": "\ud800"}], ids=repr)
def test_an_entry_without_canonical_form_is_refused_and_not_added(entry: Any) -> None:
    log = EvidenceLog()
    log.append(ENTRY)
    root = log.tree.root()
    with pytest.raises(CanonicalError):
        log.append(entry)
    assert (log.tree.size, len(log.entries), log.tree.root()) == (1, 1, root)


@given(st.lists(st.dictionaries(st.text(max_size=5), st.integers(-1000, 1000), max_size=3), min_size=1, max_size=20))
def test_every_entry_is_in_the_tree_and_nothing_else(entries: list[Any]) -> None:
    log = EvidenceLog()
    for place, entry in enumerate(entries):
        added = log.append(entry)
        assert (added.index, added.entry, len(added.salt)) == (place, entry, 32)
    size, root = log.tree.size, log.tree.root()
    for added in log.entries:
        proof = log.tree.inclusion_proof(added.index)
        leaf = leaf_hash(build_leaf_data(LeafKind.EVENT, added.salt, added.entry))
        assert leaf == added.leaf_hash
        verify_inclusion(leaf, added.index, size, proof, root)
        with pytest.raises(ProofError):
            verify_inclusion(
                leaf_hash(build_leaf_data(LeafKind.EVENT, bytes(32), added.entry)), added.index, size, proof, root
            )
        with pytest.raises(ProofError):
            verify_inclusion(
                leaf_hash(build_leaf_data(LeafKind.EVENT, added.salt, {"other": 1})), added.index, size, proof, root
            )


def test_a_grown_log_is_consistent_with_what_was_anchored() -> None:
    log, anchored = EvidenceLog(), []
    for number in range(12):
        log.append({"n": number})
        anchored.append((log.tree.size, log.tree.root()))
    for size, root in anchored:
        verify_consistency(size, log.tree.size, log.tree.consistency_proof(size), root, log.tree.root())


def test_equal_entries_do_not_show() -> None:
    log = EvidenceLog()
    assert len({log.append(ENTRY).leaf_hash for _ in range(20)}) == 20
    assert len({added.salt for added in log.entries}) == 20


def test_the_same_salt_gives_the_same_leaf() -> None:
    assert EvidenceLog().append(ENTRY, SALT) == EvidenceLog().append(json.loads(json.dumps(ENTRY)), SALT)


# Context of an inference


def test_the_layout_of_a_context_is_fixed() -> None:
    words = [
        (1337).to_bytes(32, "big"),
        bytes(12) + b"\x11" * 20,
        b"\x22" * 32,
        b"\x33" * 32,
        (5).to_bytes(32, "big"),
        b"\x44" * 32,
    ]
    expected = hashlib.sha256(b"millmark.inference-context.v1\0" + b"".join(words))
    assert build_inference_context(**CONTEXT) == expected.digest()
    assert expected.hexdigest() == CONTEXT_HASH


@pytest.mark.parametrize("name", CONTEXT)
def test_a_context_changes_with_each_thing_that_it_binds(name: str) -> None:
    was = CONTEXT[name]
    changes = [was + 1, was + 2**32] if isinstance(was, int) else [bytes([was[0] ^ 1]) + was[1:], was[:-1] + b"\0"]
    for change in changes:
        assert build_inference_context(**{**CONTEXT, name: change}) != build_inference_context(**CONTEXT)


def test_nothing_can_move_between_the_parts_of_a_context() -> None:
    swapped = {**CONTEXT, "lot": CONTEXT["stream"], "stream": CONTEXT["lot"]}
    assert build_inference_context(**swapped) != build_inference_context(**CONTEXT)


@pytest.mark.parametrize("name", ["lot", "stream", "leaf", "ledger"])
@pytest.mark.parametrize("size", [0, 19, 31, 33])
def test_a_part_of_another_length_is_refused(name: str, size: int) -> None:
    """Parts are put one behind the other: a byte too many here and one too few there would give the same context."""
    with pytest.raises(RecordError, match=name):
        build_inference_context(**{**CONTEXT, name: bytes(size)})


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_salt_of_another_length_is_refused(size: int) -> None:
    with pytest.raises(RecordError, match="salt"):
        build_leaf_data(LeafKind.EVENT, bytes(size), ENTRY)
