"""Writes seals.json beside this file: `python -m tests.vectors.make_seal_vectors`.

Each refusal is a good case with one thing changed. The validators' keys are those of tests/support/sealing.py; their
signatures are deterministic (RFC 6979), so the file is the same in every run.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from millmark.ledger.headers import RlpItem, decode_rlp, encode_rlp, parse_header, replace_extra
from millmark.ledger.keys import LocalSigner
from millmark.ledger.seals import MAX_ROUND, SealedHeader, Seals, parse_extra, quorum_of
from millmark.ledger.signatures import ORDER
from tests.support.sealing import build_block, seal, seal_header, validators

HERE = Path(__file__).parent
Case = dict[str, Any]
_STRANGER = validators(1, first=99)[0]
_FORKS = {"before London": 15, "London": 16, "Shanghai": 17, "Cancun": 20, "Prague": 21}


def main() -> None:
    """Write the file."""
    cases = [*accepted(), *refused(), *changes()]
    (HERE / "seals.json").write_text(json.dumps(cases, indent=1) + "\n", encoding="utf-8")


def accepted() -> Iterator[Case]:
    """Blocks that a quorum of the listed validators sealed."""
    for says, fields in _FORKS.items():
        keys = validators(4)
        yield _case(f"header of {says}, sealed by 3 of 4", _sealed(keys, fields=fields))
    for count, committed in ((1, 0), (4, 1), (7, MAX_ROUND), (100, 0)):
        keys = validators(count)
        yield _case(f"{count} validators, round {committed}", _sealed(keys, committed))
    four = validators(4)
    yield _case("the last three of four validators", _sealed(four, signers=four[1:]))
    for says, kind in (("add", b"\xff"), ("drop", b"")):
        block = build_block([one.address for one in four], vote=(_STRANGER.address, kind))
        yield _case(f"with a vote to {says} a validator", seal_header(block, four))


def refused() -> Iterator[Case]:
    """The same block, sealed wrongly."""
    keys = validators(4)
    good = _sealed(keys, 1)
    block, seals = good.header, good.seals.seals
    other = build_block([one.address for one in keys], number=8)

    def ordered(*signers: LocalSigner) -> tuple[bytes, ...]:
        return tuple(seal(block, one, 1) for one in sorted(signers, key=lambda one: one.address))

    yield _refused("seals of another block", "signer-unknown", _with(good, seal_header(other, keys, 1).seals.seals))
    yield _refused("the round one lower", "signer-unknown", _round(good, 0))
    yield _refused("the round one higher", "signer-unknown", _round(good, 2))
    yield _refused("a round of 2^31", "seals-malformed", _round(good, MAX_ROUND + 1))
    yield _refused("one validator twice", "signer-twice", _with(good, (seals[0], seals[0], seals[2])))
    yield _refused("a seal by an outsider", "signer-unknown", _with(good, ordered(keys[0], keys[1], _STRANGER)))
    yield _refused("f + 1 seals", "quorum-missed", _with(good, seals[:2]))
    yield _refused("no seal", "quorum-missed", _with(good, ()))
    yield _refused("one seal more than the quorum", "seals-malformed", _with(good, ordered(*keys)))
    yield _refused("seals in another order", "seals-malformed", _with(good, (seals[1], seals[0], seals[2])))
    yield _refused("high s", "signature-malformed", _with(good, (_high(seals[0]), *seals[1:])))
    yield _refused("v = 27", "signature-malformed", _with(good, (seals[0][:-1] + b"\x1b", *seals[1:])))
    yield _refused("the other parity", "signer-unknown", _with(good, (_other_parity(seals[0]), *seals[1:])))
    yield _refused("r = 0", "signature-malformed", _with(good, (bytes(32) + seals[0][32:], *seals[1:])))
    yield _refused("s = 0", "signature-malformed", _with(good, (seals[0][:32] + bytes(32) + seals[0][64:], *seals[1:])))
    yield _refused("a seal of 64 bytes", "signature-malformed", _with(good, (seals[0][:64], *seals[1:])))
    yield _refused("one of 7 fewer than the quorum of 5", "quorum-missed", _fewer(validators(7)))
    for says, code, items in _extras(good):
        yield _refused(says, code, SealedHeader(replace_extra(block, items), good.seals))
    yield _refused("bytes after extraData", "seals-malformed", _extra(good, parse_header(block).extra_data + b"\x80"))
    yield _refused("extraData of Clique", "seals-malformed", _extra(good, bytes(32) + keys[0].address + bytes(65)))
    yield _refused("extraData of 32 bytes", "seals-malformed", _extra(good, bytes(32)))
    yield _refused("no extraData", "seals-malformed", _extra(good, b""))
    yield _refused("a header cut short", "proof-refused", SealedHeader(block[:-1], good.seals))


def _extras(good: SealedHeader) -> Iterator[tuple[str, str, bytes]]:
    """The header's `extraData`, changed."""
    extra = parse_header(good.header).extra_data
    items = decode_rlp(extra, max_depth=2)
    assert not isinstance(items, bytes)
    vanity, listed, vote, committed, none = items
    assert not isinstance(listed, bytes)
    recipient = _STRANGER.address

    def with_items(*changed: RlpItem) -> bytes:
        return encode_rlp(list(changed))

    malformed = "seals-malformed"
    yield "six items", malformed, with_items(*items, b"")
    yield "four items", malformed, with_items(*items[:4])
    yield "validators in another order", malformed, with_items(vanity, [listed[1], listed[0], *listed[2:]], *items[2:])
    yield "a validator listed twice", malformed, with_items(vanity, [listed[0], *listed], *items[2:])
    yield "a validator's address of 19 bytes", malformed, with_items(vanity, [b"\1" * 19, *listed], *items[2:])
    yield "no validators: they are in a contract", malformed, with_items(vanity, [], *items[2:])
    many = [number.to_bytes(20, "big") for number in range(101)]
    yield "101 validators", malformed, with_items(vanity, many, *items[2:])
    yield "the list of validators as bytes", malformed, with_items(vanity, encode_rlp(listed), *items[2:])
    yield "vote and round exchanged", malformed, with_items(vanity, listed, committed, vote, none)
    yield "a vote before the validators", malformed, with_items(vanity, vote, listed, committed, none)
    yield "a vote of one member", malformed, with_items(vanity, listed, [recipient], committed, none)
    yield "a vote of a third kind", malformed, with_items(vanity, listed, [recipient, b"\x01"], committed, none)
    yield "no vote as bytes, as with IBFT 2.0", malformed, with_items(vanity, listed, b"", committed, none)
    yield (
        "another vote than the sealed one",
        "signer-unknown",
        with_items(vanity, listed, [recipient, b"\xff"], committed, none),
    )
    yield "one validator fewer than sealed", "signer-unknown", with_items(vanity, listed[:3], *items[2:])
    yield "another vanity", "signer-unknown", with_items(b"\1" * 32, *items[1:])
    yield "a list as vanity", malformed, with_items([], *items[1:])
    yield "round 0 with a leading zero", malformed, with_items(vanity, listed, vote, b"\0", none)
    yield "round in four bytes, as with IBFT 2.0", malformed, with_items(vanity, listed, vote, bytes(4), none)
    yield "the round in the header", malformed, with_items(vanity, listed, vote, b"\1", none)
    yield "the seals in the header", malformed, with_items(vanity, listed, vote, committed, list(good.seals.seals))
    yield "seals as bytes", malformed, with_items(vanity, listed, vote, committed, b"")
    yield "an address as bytes in a list", malformed, with_items(vanity, [*listed[:3], [listed[3]]], *items[2:])
    yield "a length with a leading zero", malformed, b"\xf9\0" + extra[1:]


def changes() -> Iterator[Case]:
    """From believed validators to those of a block, by set changes."""
    old, new, far = validators(4), validators(5), validators(4, first=50)
    newer = sorted((*new[1:], _STRANGER), key=lambda one: one.address)
    block = _sealed(new, number=30)
    step = _sealed(new, number=20)
    first, second = _sealed(new, number=20), _sealed(newer, number=25)
    end = _sealed(newer, number=30)
    yield _path("the believed validators", old, [], _sealed(old, number=30), 0)
    yield _path("one change", old, [step], block, 1)
    yield _path("two changes", old, [first, second], end, 2)
    yield _path("two changes, the first of them known", new, [first, second], end, 1)
    yield _path("two changes, both known", newer, [first, second], end, 0)
    yield _path("the change in the block itself", old, [block], block, 1)
    wrong = "validators-wrong"
    yield _path("another set, and no change", old, [], block, wrong)
    yield _path("a change to another set than the block's", old, [step], end, wrong)
    yield _path("changes in the other order", old, [second, first], block, wrong)
    yield _path("two changes of one number", old, [first, _sealed(newer, number=20)], end, wrong)
    yield _path("a change after the block", old, [_sealed(new, number=31)], block, wrong)
    yield _path("a change in another block of the same number", old, [_sealed(new, number=30, fields=17)], block, wrong)
    yield _path("a change that changes nothing", old, [first, _sealed(new, number=22)], block, wrong)
    yield _path("a change to a set of strangers", old, [_sealed(far, number=20)], _sealed(far, number=30), wrong)
    mixed = sorted((*far[:3], old[0]), key=lambda one: one.address)
    yield _path("only f of the old validators", old, [_sealed(mixed, number=20)], _sealed(mixed, number=30), wrong)
    weak = replace(step, seals=replace(step.seals, seals=step.seals.seals[:-1]))
    yield _path("a change without a quorum of its own", old, [weak], block, "quorum-missed")
    yield _path("too few between two changes", old, [first, _sealed(far, number=25)], _sealed(far, number=30), wrong)


def _sealed(
    keys: Sequence[LocalSigner],
    committed: int = 0,
    *,
    signers: Sequence[LocalSigner] | None = None,
    number: int = 7,
    fields: int = 16,
) -> SealedHeader:
    block = build_block([one.address for one in keys], number, fields=fields)
    return seal_header(block, keys if signers is None else signers, committed)


def _fewer(keys: Sequence[LocalSigner]) -> SealedHeader:
    good = _sealed(keys)
    return _with(good, good.seals.seals[: quorum_of(len(keys)) - 1])


def _with(good: SealedHeader, seals: tuple[bytes, ...]) -> SealedHeader:
    return replace(good, seals=replace(good.seals, seals=seals))


def _round(good: SealedHeader, committed: int) -> SealedHeader:
    return replace(good, seals=replace(good.seals, round=committed))


def _extra(good: SealedHeader, extra: bytes) -> SealedHeader:
    return replace(good, header=replace_extra(good.header, extra))


def _high(one: bytes) -> bytes:
    """The same signature with the other s."""
    return one[:32] + (ORDER - int.from_bytes(one[32:64], "big")).to_bytes(32, "big") + bytes([1 - one[64]])


def _other_parity(one: bytes) -> bytes:
    return one[:64] + bytes([1 - one[64]])


def _case(says: str, sealed: SealedHeader) -> Case:
    extra = parse_extra(parse_header(sealed.header).extra_data)
    return {
        "says": says,
        **_json(sealed),
        "block_hash": parse_header(sealed.header).hash.hex(),
        "validators": [one.hex() for one in extra.validators],
    }


def _refused(says: str, code: str, sealed: SealedHeader) -> Case:
    return {"says": says, **_json(sealed), "refused": code}


def _path(
    says: str, believed: Sequence[LocalSigner], path: Sequence[SealedHeader], block: SealedHeader, answer: int | str
) -> Case:
    """`answer` is the number of changes that are needed, or the code of the refusal."""
    result = {"refused": answer} if isinstance(answer, str) else {"needed": answer}
    listed = [one.address.hex() for one in believed]
    return {"says": says, "believed": listed, "changes": [_json(one) for one in path], **_json(block), **result}


def _json(sealed: SealedHeader) -> Case:
    seals: Seals = sealed.seals
    return {"header": sealed.header.hex(), "round": seals.round, "seals": [one.hex() for one in seals.seals]}


if __name__ == "__main__":
    main()
