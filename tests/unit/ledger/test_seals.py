"""Seals of QBFT blocks: the vectors, those of three engines where they are at hand, and what nodes may hold."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millmark.ledger.errors import MillmarkError, QuorumMissedError, SealsError
from millmark.ledger.headers import build_qbft_preimage, parse_header
from millmark.ledger.seals import (
    MAX_ROUND,
    SealedBlock,
    SealedHeader,
    Seals,
    build_digest,
    collect_seals,
    faulty_of,
    parse_extra,
    quorum_of,
    verify_changes,
    verify_reached,
    verify_seals,
)
from tests.support.sealing import build_block, seal, seal_header, stored, validators
from tests.vectors import make_seal_vectors

ROOT = Path(__file__).parents[3]
CASES = json.loads((ROOT / "tests" / "vectors" / "seals.json").read_text())
CORPUS = ROOT.parent / "shared" / "corpus" / "qbft-seals" / "vectors.json"


def sealed(case: dict[str, Any]) -> SealedHeader:
    seals = tuple(bytes.fromhex(one) for one in case["seals"])
    return SealedHeader(bytes.fromhex(case["header"]), Seals(case["round"], seals))


def reached(case: dict[str, Any]) -> SealedBlock | int:
    """What the verifier says: the block or, with believed validators, how many set changes were needed."""
    block = verify_seals(sealed(case))
    if "believed" not in case:
        return block
    believed = tuple(bytes.fromhex(one) for one in case["believed"])
    path = verify_changes([sealed(one) for one in case["changes"]], block)
    return len(verify_reached(believed, path, block))


@pytest.mark.parametrize("case", CASES, ids=[case["says"] for case in CASES])
def test_each_vector_is_judged_as_it_says(case: dict[str, Any]) -> None:
    if "refused" in case:
        with pytest.raises(MillmarkError) as refused:
            reached(case)
        assert refused.value.code == case["refused"], refused.value
        return
    found = reached(case)
    if isinstance(found, SealedBlock):
        assert found.header.hash.hex() == case["block_hash"]
        assert [one.hex() for one in found.validators] == case["validators"]
        assert len(found.signers) == quorum_of(len(found.validators))
    else:
        assert found == case["needed"]


def test_there_are_more_refusals_than_acceptances_and_the_vectors_are_as_they_are_made() -> None:
    refused = [case for case in CASES if "refused" in case]
    assert len(refused) > len(CASES) - len(refused)
    made = [*make_seal_vectors.accepted(), *make_seal_vectors.refused(), *make_seal_vectors.changes()]
    assert made == CASES


@pytest.mark.skipif(not CORPUS.exists(), reason="headers of QBFT engines are not on this machine")
def test_blocks_of_three_engines_verify_as_their_nodes_hold_them() -> None:
    for one in json.loads(CORPUS.read_text()):
        whole = bytes.fromhex(one["header_rlp_as_stored"][2:])
        block = verify_seals(SealedHeader(build_qbft_preimage(whole), collect_seals(whole)))
        assert "0x" + block.header.hash.hex() == one["block_hash"]
        assert "0x" + build_digest(whole, one["round"]).hex() == one["commit_digest"]
        assert (block.header.number, block.round) == (one["number"], one["round"])
        assert ["0x" + address.hex() for address in block.validators] == one["validators"]
        assert {"0x" + address.hex() for address in block.signers} <= set(one["signers"])


@given(st.integers(1, 100))
def test_two_quorums_share_more_validators_than_may_be_faulty(count: int) -> None:
    assert 2 * quorum_of(count) - count > faulty_of(count)
    assert quorum_of(count) <= count - faulty_of(count)  # the honest ones alone are enough


def test_the_digest_of_round_0_is_the_blocks_hash_and_of_another_round_is_not() -> None:
    block = build_block([one.address for one in validators(4)])
    assert build_digest(block, 0) == parse_header(block).hash != build_digest(block, 1)
    for wrong in (-1, MAX_ROUND + 1):
        with pytest.raises(SealsError, match="round"):
            build_digest(block, wrong)


def test_a_node_may_hold_more_seals_than_are_needed_and_invalid_ones() -> None:
    keys = validators(7)
    block = build_block([one.address for one in keys])
    (stranger,) = validators(1, first=99)
    good = [seal(block, one, 2) for one in keys]
    held = [bytes(65), seal(block, stranger, 2), good[6], good[6], *good[:6], seal(block, keys[0])]
    whole = stored(SealedHeader(block, Seals(2, tuple(held))))
    found = collect_seals(whole)
    assert found == Seals(2, tuple(good[:5]))
    assert verify_seals(SealedHeader(build_qbft_preimage(whole), found)).round == 2
    preferred = collect_seals(whole, [keys[5].address, keys[6].address])
    assert preferred.seals == (*good[:3], *good[5:])
    with pytest.raises(QuorumMissedError, match="4 of the 5"):
        collect_seals(stored(SealedHeader(block, Seals(2, tuple(good[:4])))))


def test_what_is_no_qbft_or_lists_no_validators_has_no_seals() -> None:
    keys = validators(4)
    good = seal_header(build_block([one.address for one in keys]), keys)
    with pytest.raises(SealsError, match="keeps them in a contract"):
        collect_seals(build_block([]))
    with pytest.raises(SealsError, match="not that of QBFT"):
        parse_extra(bytes(97))
    assert parse_extra(parse_header(stored(good)).extra_data).seals == good.seals.seals
    assert replace(good, header=build_qbft_preimage(stored(good))) == good
