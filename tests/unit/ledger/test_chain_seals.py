"""Seals from a node: of the embedded chain with validators, and of networks whose validators change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from millmark.ledger.chain import EmbeddedChain, Node, fetch_headers, fetch_seals, fetch_validators
from millmark.ledger.errors import ChainUnreachableError, InputError
from millmark.ledger.headers import FIELDS, encode_header, encode_integer, parse_header
from millmark.ledger.keys import LocalSigner
from millmark.ledger.seals import (
    SealedHeader,
    Seals,
    parse_extra,
    quorum_of,
    verify_changes,
    verify_reached,
    verify_seals,
)
from tests.support.ledger_world import LedgerWorld, build_world
from tests.support.rpc import ScriptedNode
from tests.support.sealing import of_validators, seal, seal_header, stored, validators

FOUR = validators(4)


def addresses(keys: Sequence[LocalSigner]) -> tuple[bytes, ...]:
    return tuple(one.address for one in keys)


@pytest.fixture(scope="module")
def sealed() -> LedgerWorld:
    """A ledger on an embedded chain whose blocks four validators seal."""
    return build_world(EmbeddedChain(validators=FOUR))


@pytest.fixture
def plain() -> LedgerWorld:
    """A ledger whose blocks have no seals, with a few blocks after it."""
    world = build_world()
    for _ in range(30):
        world.line.node.request("evm_mine", [])
    return world


def test_blocks_of_the_embedded_chain_are_sealed_by_all_its_validators(sealed: LedgerWorld) -> None:
    chain = sealed.chain
    last = chain.final_number()
    assert fetch_validators(chain) == addresses(FOUR)
    for number in (1, last):
        (header,) = fetch_headers(chain.node, number, number)
        shown = fetch_seals(chain, number)
        assert shown is not None
        assert shown.changes == ()
        block = verify_seals(SealedHeader(header, shown.seals))
        assert block.header.hash == chain.header(number).hash
        assert block.signers == addresses(FOUR)[: quorum_of(4)]
    extra = parse_extra(
        bytes.fromhex(sealed.line.node.request("eth_getBlockByNumber", ["latest", False])["extraData"][2:])
    )
    assert len(extra.seals) == len(FOUR)


def test_nobody_seals_the_genesis_block_and_it_lists_the_validators(sealed: LedgerWorld) -> None:
    raw = sealed.line.node.request("eth_getBlockByNumber", ["0x0", False])
    extra = parse_extra(bytes.fromhex(raw["extraData"][2:]))
    assert (extra.validators, extra.seals) == (addresses(FOUR), ())
    assert fetch_seals(sealed.chain, 0) is None


def test_a_chain_has_at_most_100_validators_and_each_once() -> None:
    for wrong in ([FOUR[0], FOUR[0]], validators(101)):
        with pytest.raises(InputError, match="cannot have these validators"):
            EmbeddedChain(validators=wrong)


def test_a_chain_without_seals_has_none(plain: LedgerWorld) -> None:
    assert fetch_seals(plain.chain, plain.chain.final_number()) is None
    with pytest.raises(InputError, match=r"not that of QBFT.*--quorum"):
        fetch_validators(plain.chain)


# Networks whose validators change

Sets = Callable[[int], Sequence[LocalSigner]]


def resealed(
    world: LedgerWorld, sets: Sets, sealing: Callable[[int], Sequence[LocalSigner]] | None = None
) -> list[int]:
    """The world's node, as if its blocks were those of these validators; sealed by all of them, or by `sealing`.

    Returns a list to which the numbers are appended of the blocks that are asked for.
    """
    real, asked = world.line.node, list[int]()

    def answer(number: str, full: bool) -> Any:
        raw = real.request("eth_getBlockByNumber", [number, full])
        at = int(raw["number"], 16)
        asked.append(at)
        header = of_validators(_encoded(raw), addresses(sets(at)))
        able = sorted((sealing or sets)(at), key=lambda one: one.address)
        seals = tuple(seal(header, one, at % 3) for one in able)
        whole = stored(SealedHeader(header, Seals(at % 3, seals)))
        raw.update(extraData="0x" + parse_header(whole).extra_data.hex(), hash="0x" + parse_header(header).hash.hex())
        return raw

    head = real.request("eth_blockNumber", [])
    node = Node(ScriptedNode({"eth_getBlockByNumber": answer, "eth_blockNumber": lambda: head}))
    world.chain.node = node
    return asked


def _encoded(raw: dict[str, Any]) -> bytes:
    fields = []
    for name, is_integer, _ in FIELDS:
        digits = raw[name][2:]
        fields.append(encode_integer(int(raw[name], 16)) if is_integer else bytes.fromhex(digits))
    return encode_header(fields)


def test_the_set_changes_since_the_ledger_was_created_are_found(plain: LedgerWorld) -> None:
    last, first = plain.chain.final_number(), plain.chain.deployment.created_number
    five, other = validators(5), [*validators(5)[1:], *validators(1, first=30)]

    def sets(number: int) -> Sequence[LocalSigner]:
        return (
            FOUR if number < first + 7 else five if number < first + 20 else sorted(other, key=lambda one: one.address)
        )

    asked = resealed(plain, sets)
    shown = fetch_seals(plain.chain, last)
    assert shown is not None
    assert [parse_header(one.header).number for one in shown.changes] == [first + 7, first + 20]
    (header,) = fetch_headers(plain.chain.node, last, last)
    block = verify_seals(SealedHeader(header, shown.seals))
    path = verify_changes(shown.changes, block)
    for believed, needed in ((FOUR, 2), (five, 1), (sets(last), 0)):
        assert len(verify_reached(addresses(believed), path, block)) == needed
    before = len(asked)
    assert fetch_seals(plain.chain, last) == shown
    assert len(asked) == before, "headers of final blocks are kept"


def test_a_change_that_was_undone_is_found(plain: LedgerWorld) -> None:
    """Who believes the set in between would not get to the block by the sets at both ends."""
    last, first = plain.chain.final_number(), plain.chain.deployment.created_number
    five = validators(5)
    resealed(plain, lambda number: five if first + 3 <= number < first + 9 else FOUR)
    shown = fetch_seals(plain.chain, last)
    assert shown is not None
    assert [parse_header(one.header).number for one in shown.changes] == [first + 3, first + 9]
    (header,) = fetch_headers(plain.chain.node, last, last)
    block = verify_seals(SealedHeader(header, shown.seals))
    path = verify_changes(shown.changes, block)
    assert len(verify_reached(addresses(five), path, block)) == 1


def test_few_headers_are_asked_for_where_no_validator_changed(
    plain: LedgerWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("millmark.ledger.chain.proofs._LOOKS", 4)
    last, first = plain.chain.final_number(), plain.chain.deployment.created_number
    asked = resealed(plain, lambda _: FOUR)
    shown = fetch_seals(plain.chain, last)
    assert shown is not None
    assert shown.changes == ()
    assert len(set(asked)) <= 3 * 4
    assert last - first > 3 * 4


def test_a_change_that_nobody_could_follow_ends_the_path(plain: LedgerWorld) -> None:
    """Validators that were all replaced at once, or were in a contract before, or whose block has too few seals."""
    last, first = plain.chain.final_number(), plain.chain.deployment.created_number
    far, farther = validators(4, first=50), validators(5, first=50)

    def sets(number: int) -> Sequence[LocalSigner]:
        return FOUR if number < first + 5 else far if number < first + 12 else farther

    for before in (FOUR, []):
        resealed(plain, lambda number, old=before: old if number < first + 5 else sets(number))  # type: ignore[misc]
        shown = fetch_seals(plain.chain, last)
        assert shown is not None
        assert [parse_header(one.header).number for one in shown.changes] == [first + 12]
        plain.chain.stored_headers.clear()
    resealed(plain, sets, lambda number: farther[:2] if number == first + 12 else sets(number))
    shown = fetch_seals(plain.chain, last)
    assert shown is not None
    assert shown.changes == ()


def test_where_validators_are_in_a_contract_there_are_no_seals_and_it_is_said_why(plain: LedgerWorld) -> None:
    resealed(plain, lambda _: [])
    assert fetch_seals(plain.chain, plain.chain.final_number()) is None
    with pytest.raises(InputError, match=r"keeps them in a contract.*--quorum"):
        fetch_validators(plain.chain)


def test_a_block_without_a_quorum_has_no_seals_here(plain: LedgerWorld) -> None:
    """GoQuorum takes such blocks while it catches up."""
    resealed(plain, lambda _: FOUR, lambda _: FOUR[:2])
    assert fetch_seals(plain.chain, plain.chain.final_number()) is None
    assert fetch_validators(plain.chain) == addresses(FOUR)


def test_a_header_that_has_not_its_hash_is_not_taken(plain: LedgerWorld) -> None:
    resealed(plain, lambda _: FOUR)
    number = plain.chain.final_number()
    good = plain.chain.node
    raw = plain.line.node.request("eth_getBlockByNumber", [hex(number), False])
    (header,) = fetch_headers(good, number, number)
    raw["extraData"] = "0x" + parse_header(stored(seal_header(header, FOUR))).extra_data.hex()
    head = hex(number)
    plain.chain.node = Node(ScriptedNode({"eth_getBlockByNumber": lambda *_: raw, "eth_blockNumber": lambda: head}))
    with pytest.raises(ChainUnreachableError, match="is not that of its header"):
        fetch_seals(plain.chain, number)
