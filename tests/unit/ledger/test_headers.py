"""Block headers of every fork in use, hashed as their engines do, and what is none of them."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

import pytest
import rlp
from eth.vm.forks.cancun.blocks import CancunBlockHeader
from eth.vm.forks.london.blocks import LondonBlockHeader
from eth.vm.forks.prague.blocks import PragueBlockHeader
from eth.vm.forks.shanghai.blocks import ShanghaiBlockHeader
from hypothesis import given
from hypothesis import strategies as st

from millmark.ledger.canonical import keccak256
from millmark.ledger.errors import ProofError
from millmark.ledger.headers import (
    FIELDS,
    MAX_HEADER_BYTES,
    RlpItem,
    build_qbft_preimage,
    encode_header,
    encode_rlp,
    parse_header,
)

WORD = bytes(range(32))
EMPTY_TRIE = bytes.fromhex("56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421")
COUNTS = (15, 16, 17, 20, 21)


def fields(count: int = 21, changed: Mapping[str, bytes] | None = None) -> list[RlpItem]:
    found: list[RlpItem] = []
    for name, is_integer, size in FIELDS[:count]:
        usual = b"\x07" if is_integer else b"extra" if size < 0 else bytes([len(found)]) * size
        found.append((changed or {}).get(name, usual))
    return found


def test_the_first_block_of_the_public_chain_has_its_known_hash() -> None:
    genesis: list[RlpItem] = [
        bytes(32),
        bytes.fromhex("1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347"),
        bytes(20),
        bytes.fromhex("d7f8974fb5ac78d9ac099b9ad5018bedc2ce0a72dad1827a1709da30580f0544"),
        EMPTY_TRIE,
        EMPTY_TRIE,
        bytes(256),
        bytes.fromhex("0400000000"),
        b"",
        bytes.fromhex("1388"),
        b"",
        b"",
        bytes.fromhex("11bbe8db4e347b4e8c937c1c8370e4b5ed33adb3db69cbdb7a38e1e50b1b82fa"),
        bytes(32),
        bytes.fromhex("0000000000000042"),
    ]
    header = parse_header(encode_rlp(genesis))
    assert header.hash.hex() == "d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3"
    assert (header.number, header.timestamp, header.state_root) == (0, 0, genesis[3])


@pytest.mark.parametrize(
    ("kind", "later"),
    [
        (LondonBlockHeader, {}),
        (ShanghaiBlockHeader, {"withdrawals_root": WORD}),
        (CancunBlockHeader, {"withdrawals_root": WORD, "blob_gas_used": 5, "excess_blob_gas": 0}),
        (
            PragueBlockHeader,
            {"withdrawals_root": WORD, "blob_gas_used": 0, "excess_blob_gas": 9, "requests_hash": WORD},
        ),
    ],
)
def test_headers_of_the_reference_hash_as_it_says(kind: type, later: dict[str, object]) -> None:
    reference = kind(
        difficulty=0,
        block_number=70_000,
        gas_limit=60_000_000,
        timestamp=1_800_000_000,
        state_root=WORD,
        parent_hash=WORD[::-1],
        base_fee_per_gas=7,
        extra_data=b"\0" * 32,
        **later,
    )
    header = parse_header(rlp.encode(reference))
    assert header.hash == reference.hash
    assert (header.number, header.timestamp) == (70_000, 1_800_000_000)
    assert (header.state_root, header.parent_hash) == (WORD, WORD[::-1])


@pytest.mark.parametrize("count", COUNTS)
def test_every_fork_is_read(count: int) -> None:
    encoded = encode_rlp(fields(count, {"number": b"\x01\x00", "timestamp": b"\x02\x00"}))
    header = parse_header(encoded)
    assert header.hash == keccak256(encoded)
    assert (header.number, header.timestamp) == (256, 512)
    assert header.parent_hash == bytes(32)
    assert header.state_root == b"\3" * 32
    assert header.receipts_root == b"\5" * 32
    assert header.extra_data == b"extra"
    assert encode_header([item for item in fields(count) if isinstance(item, bytes)]) == encode_rlp(fields(count))


@pytest.mark.parametrize("count", [0, 1, 14, 18, 19, 22])
def test_other_numbers_of_fields_are_refused(count: int) -> None:
    more: list[RlpItem] = [*fields(), b""][:count]
    with pytest.raises(ProofError, match="not that of any known fork"):
        parse_header(encode_rlp(more))


@pytest.mark.parametrize("place", range(21))
def test_a_field_of_another_size_is_refused(place: int) -> None:
    _, is_integer, size = FIELDS[place]
    wrong: list[RlpItem] = [[]]
    if is_integer:
        wrong += [b"\1" * (size + 1), b"\0", b"\0\1"]
    elif size >= 0:
        wrong += [bytes(size + 1), bytes(size - 1), b""]
    for item in wrong:
        changed = fields()
        changed[place] = item
        with pytest.raises(ProofError):
            parse_header(encode_rlp(changed))


@pytest.mark.parametrize("name", ["number", "timestamp"])
def test_numbers_that_no_clock_or_chain_reaches_are_refused(name: str) -> None:
    with pytest.raises(ProofError, match=f"{name} is not below 2\\^63"):
        parse_header(encode_rlp(fields(changed={name: b"\x80" + bytes(7)})))
    assert parse_header(encode_rlp(fields(changed={name: b"\x7f" * 8})))


@pytest.mark.parametrize(
    "value", [b"", b"\x80", b"text", b"\xc0" * 3, encode_rlp(fields())[:-1], encode_rlp(fields()) + b"\0"]
)
def test_what_is_no_header_is_refused(value: bytes) -> None:
    with pytest.raises(ProofError):
        parse_header(value)


def test_length_is_bounded() -> None:
    overhead = len(encode_rlp(fields(changed={"extraData": bytes(9000)}))) - 9000
    fits = encode_rlp(fields(changed={"extraData": bytes(MAX_HEADER_BYTES - overhead)}))
    assert len(fits) == MAX_HEADER_BYTES
    assert parse_header(fits)
    with pytest.raises(ProofError, match="more than"):
        parse_header(fits + b"\0")


@given(st.integers(0, len(encode_rlp(fields())) * 8 - 1))
def test_every_bit_is_in_the_hash(bit: int) -> None:
    encoded = encode_rlp(fields())
    wrong = bytearray(encoded)
    wrong[bit // 8] ^= 1 << bit % 8
    with contextlib.suppress(ProofError):
        assert parse_header(bytes(wrong)).hash != keccak256(encoded)


# QBFT

VANITY, VALIDATORS, VOTE = b"v" * 32, [b"\1" * 20, b"\2" * 20], [b"\3" * 20, b"\xff"]
SEALS = [b"s" * 65, b"t" * 65]


def sealed(seals: list[RlpItem], round_: bytes, vote: list[RlpItem]) -> bytes:
    return encode_rlp(fields(16, {"extraData": encode_rlp([VANITY, VALIDATORS, vote, round_, seals])}))


@pytest.mark.parametrize("vote", [[], VOTE])
def test_seals_and_round_are_not_in_a_qbft_block_s_hash(vote: list[RlpItem]) -> None:
    bare = sealed([], b"", vote)
    for seals, round_ in ((SEALS, b""), (SEALS[::-1], b"\7"), ([], b"\7"), ([], b"")):
        assert build_qbft_preimage(sealed(list(seals), round_, vote)) == bare


def test_validators_and_vote_are_in_a_qbft_block_s_hash() -> None:
    hashes = {parse_header(build_qbft_preimage(sealed(list(SEALS), b"", list(vote)))).hash for vote in ([], VOTE)}
    assert len(hashes) == 2


@pytest.mark.parametrize(
    "extra",
    [b"", bytes(32), encode_rlp([]), encode_rlp([VANITY, VALIDATORS, [], b""]), bytes(32) + encode_rlp([[], b"", []])],
)
def test_what_is_not_sealed_by_qbft_is_refused(extra: bytes) -> None:
    with pytest.raises(ProofError):
        build_qbft_preimage(encode_rlp(fields(16, {"extraData": extra})))
