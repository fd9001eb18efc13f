"""Checkpoints: whose word counts, for which chain, and how far back it reaches."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data

from millmark.ledger.ages import DEFAULT_MAX_AGE_S, MAX_ANCESTRY
from millmark.ledger.canonical import canonical_json, keccak256
from millmark.ledger.checkpoint import (
    MAX_CHECKPOINT_BYTES,
    Checkpoint,
    SignedCheckpoint,
    combine_checkpoints,
    parse_checkpoint,
    sign_checkpoint,
    verify_age,
    verify_ancestry,
    verify_believed,
    verify_cosigned,
)
from millmark.ledger.errors import (
    CheckpointTooOldError,
    CheckpointUnlinkedError,
    MillmarkError,
    QuorumMissedError,
    SignatureMalformedError,
    SignerTwiceError,
    SignerUnknownError,
    TrustError,
    WrongCheckpointError,
)
from millmark.ledger.headers import BlockHeader
from millmark.ledger.keys import LocalSigner
from millmark.ledger.signatures import to_checksum
from millmark.ledger.trust import BelievedBlock, Cosigner, Cosigners, TrustedContract, TrustFile

LEDGER = keccak256(b"ledger")[:20]
LEDGER_ID = keccak256(b"ledger id")
POINT = Checkpoint(31_337, LEDGER, LEDGER_ID, 70_000, keccak256(b"block"))
SIGNERS = [LocalSigner.from_bytes(keccak256(bytes([number]))) for number in range(5)]
"""Participants 1, 2, 3, once more 3, and a stranger."""
COSIGNERS = Cosigners(
    2,
    tuple(
        sorted(
            (Cosigner(number, SIGNERS[place].address) for number, place in ((1, 0), (2, 1), (3, 2), (3, 3))),
            key=lambda key: (key.participant, key.address),
        )
    ),
)
CONTRACTS = {
    name: TrustedContract(LEDGER if name == "TraceLedger" else keccak256(name.encode())[:20], bytes(32))
    for name in ("CertificateOperations", "Evaluator", "Forwarder", "LotOperations", "Registry", "TraceLedger")
}
TRUST = TrustFile(31_337, LEDGER_ID, CONTRACTS, {}, COSIGNERS)
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def signed(*places: int, point: Checkpoint = POINT) -> SignedCheckpoint:
    return SignedCheckpoint(point, tuple(sign_checkpoint(point, SIGNERS[place]).signatures[0] for place in places))


def typed(point: Checkpoint) -> dict[str, Any]:
    """As a wallet gets it."""
    domain = [("name", "string"), ("version", "string"), ("chainId", "uint256"), ("verifyingContract", "address")]
    message = [("ledgerId", "bytes32"), ("blockNumber", "uint256"), ("blockHash", "bytes32")]
    return {
        "types": {
            "EIP712Domain": [{"name": name, "type": kind} for name, kind in domain],
            "Checkpoint": [{"name": name, "type": kind} for name, kind in message],
        },
        "primaryType": "Checkpoint",
        "domain": {
            "name": "Millmark",
            "version": "1",
            "chainId": point.chain_id,
            "verifyingContract": to_checksum(point.ledger),
        },
        "message": {"ledgerId": point.ledger_id, "blockNumber": point.block_number, "blockHash": point.block_hash},
    }


def test_what_is_signed_is_what_a_wallet_signs() -> None:
    message = encode_typed_data(full_message=typed(POINT))
    assert keccak256(b"\x19" + message.version + message.header + message.body) == POINT.digest
    by_wallet = bytes(Account.from_key(SIGNERS[0].unsafe_secret()).sign_message(message).signature)
    assert SignedCheckpoint(POINT, (by_wallet,)).signers() == (SIGNERS[0].address,)


@pytest.mark.parametrize(
    "change",
    [
        {"chain_id": 1},
        {"ledger": keccak256(b"staging")[:20]},
        {"ledger_id": keccak256(b"made anew")},
        {"block_number": 70_001},
        {"block_hash": keccak256(b"fork")},
    ],
)
def test_a_signature_counts_for_one_chain_ledger_and_block(change: dict[str, Any]) -> None:
    other = dataclasses.replace(POINT, **change)
    assert other.digest != POINT.digest
    moved = SignedCheckpoint(other, signed(0, 1).signatures)
    with pytest.raises(SignerUnknownError):
        verify_cosigned(moved, COSIGNERS)


@pytest.mark.parametrize("places", [(0, 1), (0, 2), (1, 3), (0, 1, 2), (3, 1, 0)])
def test_enough_participants_are_believed(places: tuple[int, ...]) -> None:
    verify_cosigned(signed(*places), COSIGNERS)
    assert verify_believed(TRUST, signed(*places)) == BelievedBlock(POINT.block_number, POINT.block_hash)


@pytest.mark.parametrize(
    ("places", "refusal"),
    [
        ((), QuorumMissedError),
        ((0,), QuorumMissedError),
        ((0, 0), SignerTwiceError),
        ((2, 3), SignerTwiceError),
        ((0, 2, 3), SignerTwiceError),
        ((4,), SignerUnknownError),
        ((0, 1, 4), SignerUnknownError),
    ],
)
def test_other_sets_of_signers_are_refused(places: tuple[int, ...], refusal: type[MillmarkError]) -> None:
    with pytest.raises(refusal):
        verify_believed(TRUST, signed(*places))


def high_s(signature: bytes) -> bytes:
    """The other signature of the same key over the same bytes, which the chain does not take (EIP-2)."""
    s = ORDER - int.from_bytes(signature[32:64], "big")
    return signature[:32] + s.to_bytes(32, "big") + bytes([27 + 28 - signature[64]])


def test_bent_signatures_are_refused() -> None:
    good = signed(0).signatures[0]
    wrongs = [high_s(good), good[:64], good + b"\0", b"", good[:64] + b"\0", good[:64] + b"\1", good[:64] + b"\x1d"]
    wrongs += [
        bytes(64) + b"\x1b",
        good[:32] + bytes(32) + good[64:],
        b"\xff" * 32 + good[32:],
        good[:32] + b"\xff" * 33,
    ]
    for wrong in wrongs:
        for refuse in (verify_cosigned, lambda found, _: combine_checkpoints([found])):
            with pytest.raises(SignatureMalformedError):
                refuse(SignedCheckpoint(POINT, (signed(1).signatures[0], wrong)), COSIGNERS)


def test_every_flipped_bit_of_a_signature_is_refused() -> None:
    good = signed(0).signatures[0]
    for bit in range(8 * len(good)):
        wrong = bytearray(good)
        wrong[bit // 8] ^= 1 << bit % 8
        with pytest.raises((SignatureMalformedError, SignerUnknownError)):
            verify_cosigned(SignedCheckpoint(POINT, (bytes(wrong), signed(1).signatures[0])), COSIGNERS)


def test_the_verifier_s_own_block_needs_no_signatures() -> None:
    own = BelievedBlock(3, keccak256(b"own"))
    trust = dataclasses.replace(TRUST, checkpoint=own)
    assert verify_believed(trust, None) == own
    assert verify_believed(trust, signed(4)) == own


def test_co_signers_without_a_checkpoint_believe_nothing() -> None:
    with pytest.raises(WrongCheckpointError, match="the bundle has none"):
        verify_believed(TRUST, None)


@pytest.mark.parametrize(
    ("change", "name"),
    [({"chain_id": 1}, "chain"), ({"ledger": bytes(20)}, "ledger"), ({"ledger_id": bytes(32)}, "ledger id")],
)
def test_a_well_signed_checkpoint_of_another_ledger_is_refused(change: dict[str, Any], name: str) -> None:
    with pytest.raises(WrongCheckpointError, match=f"the checkpoint's {name} is"):
        verify_believed(TRUST, signed(0, 1, point=dataclasses.replace(POINT, **change)))


# Combining


def test_signatures_are_combined_in_one_order() -> None:
    whole = combine_checkpoints([signed(2), signed(0), signed(1)])
    assert whole == combine_checkpoints([signed(0, 1), signed(2)])
    assert list(whole.signers()) == sorted(SIGNERS[place].address for place in (0, 1, 2))
    assert combine_checkpoints([SignedCheckpoint(POINT)]) == SignedCheckpoint(POINT)


def test_only_signatures_of_one_block_are_combined() -> None:
    other = dataclasses.replace(POINT, block_hash=keccak256(b"fork"))
    with pytest.raises(WrongCheckpointError, match="block hash"):
        combine_checkpoints([signed(0), signed(1, point=other)])
    with pytest.raises(WrongCheckpointError, match="no checkpoint"):
        combine_checkpoints([])


def test_a_key_is_combined_once() -> None:
    with pytest.raises(SignerTwiceError):
        combine_checkpoints([signed(0), signed(0)])


# The file


def test_a_checkpoint_file_comes_back() -> None:
    for found in (signed(), signed(0, 1, 2)):
        assert parse_checkpoint(found.to_bytes()) == found
        assert parse_checkpoint(found.to_bytes() + b"\n") == found


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("format", "millmark-trust"),
        ("version", 2),
        ("version", True),
        ("chain_id", "31337"),
        ("chain_id", -1),
        ("ledger", "0x" + LEDGER.hex()),
        ("ledger", ""),
        ("block_number", True),
        ("block_number", 1.5),
        ("block_hash", "0x" + "00" * 31),
        ("block_hash", "00" * 33),
        ("signatures", {}),
        ("signatures", ["0x" + "00" * 64]),
        ("signatures", [7]),
        ("signatures", ["0x" + "00" * 65] * 101),
        ("note", ""),
    ],
)
def test_other_contents_are_refused(member: str, value: object) -> None:
    raw = {**json.loads(signed(0).to_bytes()), member: value}
    with pytest.raises(TrustError, match="the checkpoint file cannot be used"):
        parse_checkpoint(canonical_json(raw))


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"[" * 50, signed(0).to_bytes()[:-1], signed(0).to_bytes() + b" ", b" " * (MAX_CHECKPOINT_BYTES + 9)],
)
def test_other_forms_are_refused(data: bytes) -> None:
    with pytest.raises(TrustError, match="the checkpoint file"):
        parse_checkpoint(data)


# From the checkpoint back to the proof block


def chain(length: int, start: int = 100, tag: bytes = b"main") -> list[BlockHeader]:
    found: list[BlockHeader] = []
    for number in range(start, start + length):
        parent = found[-1].hash if found else keccak256(tag)
        found.append(BlockHeader(keccak256(tag + bytes([number % 256])), number, parent, b"", b"", number, b""))
    return found


def believed(header: BlockHeader) -> BelievedBlock:
    return BelievedBlock(header.number, header.hash)


@pytest.mark.parametrize("length", [1, 2, 5, 17, MAX_ANCESTRY + 1])
def test_an_ancestor_within_the_bound_is_reached(length: int) -> None:
    headers = chain(length)
    verify_ancestry(headers, believed(headers[-1]))


def test_a_block_after_the_checkpoint_is_nobody_s_word() -> None:
    headers = chain(4)
    with pytest.raises(CheckpointUnlinkedError, match="is later than the checkpoint"):
        verify_ancestry(headers[3:], believed(headers[1]))
    with pytest.raises(CheckpointUnlinkedError):
        verify_ancestry(headers[1:], believed(headers[1]))
    with pytest.raises(CheckpointUnlinkedError):
        verify_ancestry(headers[1:4][::-1], believed(headers[1]))


def test_other_headers_are_refused() -> None:
    headers = chain(6)
    end = believed(headers[-1])
    forked = [*chain(3, 100, b"fork"), *headers[3:]]
    skipped = [*headers[:2], dataclasses.replace(headers[3], parent_hash=headers[1].hash), *headers[4:]]
    wrongs = [[], headers[:-1], [*headers[:2], *headers[3:]], forked, skipped, headers[::-1], [headers[0], *headers]]
    for wrong in wrongs:
        with pytest.raises(CheckpointUnlinkedError):
            verify_ancestry(wrong, end)


def test_the_checkpoint_s_number_and_hash_both_count() -> None:
    headers = chain(3)
    for wrong in (BelievedBlock(103, headers[-1].hash), BelievedBlock(102, keccak256(b"fork"))):
        with pytest.raises(CheckpointUnlinkedError, match="the headers end at") as refused:
            verify_ancestry(headers, wrong)
        # What mends it where the chain went on between bundle and trust file; a forked block has no remedy.
        assert ("--block 102" in refused.value.hint) is (wrong.number != 102)


def test_ancestry_is_bounded() -> None:
    headers = chain(MAX_ANCESTRY + 2)
    with pytest.raises(CheckpointUnlinkedError, match="1 to 257 are allowed"):
        verify_ancestry(headers, believed(headers[-1]))


# Age

NOW_S = 2_000_000_000


def at(timestamp: int) -> BlockHeader:
    return dataclasses.replace(chain(1)[0], timestamp=timestamp)


@pytest.mark.parametrize("age_s", [0, 1, DEFAULT_MAX_AGE_S, -86_400])
def test_a_block_of_these_days_is_taken(age_s: int) -> None:
    verify_age(at(NOW_S - age_s), NOW_S)


@pytest.mark.parametrize("age_s", [DEFAULT_MAX_AGE_S + 1, -86_401, 10**9])
def test_an_old_or_future_block_is_refused(age_s: int) -> None:
    with pytest.raises(CheckpointTooOldError):
        verify_age(at(NOW_S - age_s), NOW_S)


def test_the_verifier_chooses_the_age() -> None:
    verify_age(at(NOW_S - 10**9), NOW_S, 10**9)
    with pytest.raises(CheckpointTooOldError, match=r"1 days old; at most 0\.5 days are allowed"):
        verify_age(at(NOW_S - 86_400), NOW_S, 43_200)
