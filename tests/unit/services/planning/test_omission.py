"""Offers that a coordinator left out are proved, and nothing else is."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from random import Random

import pytest

from millmark.ledger.canonical import Json, canonical_json
from millmark.ledger.claims import Claims
from millmark.ledger.errors import InputError, MillmarkError
from millmark.ledger.evidence import LeafKind
from millmark.ledger.plans.call import Call
from millmark.ledger.plans.offer import OpenedOffer
from millmark.services.planning.errors import OmissionRefusedError
from millmark.services.planning.omission import (
    SHOWN,
    FoundKey,
    Omission,
    encode_omission,
    parse_omission,
    sign_receipt,
    verify_omission,
)
from millmark.services.planning.stream_entries import OpenedLeaf, build_seal
from tests.support.figures import Tell
from tests.support.planning_samples import build_call, build_opened, build_plan
from tests.support.sign_in import signer_of

COORDINATOR, OTHER = signer_of(2), signer_of(3)
KEYS = {COORDINATOR.address: FoundKey(2, 0), OTHER.address: FoundKey(3, 0)}
INJECTED = 1_000


def find_key(address: bytes) -> FoundKey | None:
    return KEYS.get(address)


def omission_of(
    call: Call, offer: OpenedOffer, listed: list[bytes], *, at: int | None = None, signer: object = COORDINATOR
) -> Omission:
    """What the owner of an offer shows of a plan that lists other offers."""
    plan = build_plan(call, listed)
    seal, claims = build_seal(plan, call.chain_id, call.ledger, COORDINATOR)
    received = call.closes - 60 if at is None else at
    receipt = sign_receipt(call.chain_id, call.ledger, call.digest, offer.id, received, signer)  # type: ignore[arg-type]
    leaf = OpenedLeaf(LeafKind.OFFER, 0, offer.salt, offer.entry.to_json(), ())
    return Omission(call, leaf, receipt, seal, shown(claims), None)


def shown(claims: Claims):  # type: ignore[no-untyped-def]
    return claims.disclose([(name,) for name in SHOWN])


@pytest.fixture(scope="module")
def call() -> Call:
    return build_call()


def test_every_one_of_a_thousand_omitted_offers_is_proved(call: Call, tell: Tell) -> None:
    random, proved = Random(16), 0  # noqa: S311  # a test is to be repeatable
    pool = [build_opened(call, random, machine) for machine in range(17, 41)]
    for _ in range(INJECTED):
        received = random.sample(pool, random.randrange(1, 13))
        gone = random.choice(received)
        listed = [one.id for one in received if one is not gone]
        data = encode_omission(omission_of(call, gone, listed))
        proved += verify_omission(parse_omission(data), find_key) == gone.entry
    tell(f"{proved} of {INJECTED} omitted offers proved")
    assert proved == INJECTED


def test_none_is_proved_of_an_offer_that_the_plan_lists(call: Call) -> None:
    random = Random(17)  # noqa: S311  # a test is to be repeatable
    for _ in range(50):
        received = [build_opened(call, random, machine) for machine in range(17, 17 + random.randrange(1, 9))]
        one = random.choice(received)
        with pytest.raises(OmissionRefusedError, match="the plan's list has the offer: it was not left out"):
            verify_omission(omission_of(call, one, [each.id for each in received]), find_key)


@pytest.fixture
def good(call: Call) -> Omission:
    return omission_of(call, build_opened(call, Random(18)), [b"\3" * 32])  # noqa: S311  # a test is to be repeatable


def test_what_does_not_prove_it_is_refused(call: Call, good: Omission) -> None:
    offer = build_opened(call, Random(18))  # noqa: S311  # a test is to be repeatable
    other = build_call(readers=())
    stranger = build_opened(call, Random(19))  # noqa: S311  # a test is to be repeatable
    expired = OpenedOffer(replace(offer.entry, until=call.closes - 1), offer.salt)  # type: ignore[arg-type]
    seal, claims = build_seal(build_plan(call, []), call.chain_id, call.ledger, OTHER)
    elsewhere, theirs = build_seal(build_plan(other, []), call.chain_id, call.ledger, COORDINATOR)
    twin, twins = build_seal(build_plan(call, [], (), ()), call.chain_id, call.ledger, COORDINATOR)
    for bad, says in (
        (omission_of(call, offer, [], at=call.closes), "of after the call closed"),
        (omission_of(call, offer, [], signer=OTHER), "participant 2, signed the receipt"),
        (omission_of(call, offer, [], signer=signer_of(9)), "participant 2, signed the receipt"),
        (replace(good, receipt=omission_of(call, stranger, []).receipt), "for another offer or call"),
        (replace(good, seal=seal, disclosure=shown(claims)), "participant 2, signed the plan"),
        (replace(good, seal=elsewhere, disclosure=shown(theirs)), "the plan is for another call"),
        (replace(good, disclosure=shown(twins)), "not the one that was signed"),
        (replace(good, seal=replace(twin, claims=good.seal.claims)), "participant 2, signed the plan"),
        (replace(good, call=other), "it is for another call"),
        (omission_of(call, expired, []), "expired before the call closed"),
        (replace(good, disclosure=claims_without(call, "offers")), "not the one that was signed"),
    ):
        with pytest.raises(OmissionRefusedError, match=says):
            verify_omission(bad, find_key)
    verify_omission(good, find_key)


def claims_without(call: Call, name: str):  # type: ignore[no-untyped-def]
    _, claims = build_seal(build_plan(call, [b"\3" * 32]), call.chain_id, call.ledger, COORDINATOR)
    return claims.disclose([(one,) for one in SHOWN if one != name])


def test_a_compromised_key_proves_nothing_of_later(call: Call, good: Omission) -> None:
    at = good.receipt.received_at
    for since, holds in ((at + 1, True), (at, False), (at - 5, False)):
        keys: Callable[[bytes], FoundKey | None] = lambda _, since=since: FoundKey(2, since)  # type: ignore[misc]  # noqa: E731
        if holds:
            verify_omission(good, keys)
        else:
            with pytest.raises(OmissionRefusedError, match="was compromised by then"):
                verify_omission(good, keys)


def test_a_file_that_was_changed_anywhere_proves_nothing(good: Omission) -> None:
    """Each scalar of the file in turn is replaced, each member taken away."""
    value = json.loads(encode_omission(good))
    places = [place for place in _places(value) if place[:1] != ("registry",)]
    # The index is not part of what is proved: the receipt names the entry by its leaf hash.
    for place in places:
        changed = json.loads(encode_omission(good))
        _replace(changed, place)
        if place == ("offer", "index"):
            continue
        with pytest.raises(MillmarkError):
            verify_omission(parse_omission(canonical_json(changed)), find_key)
    assert len(places) > 60


def _places(value: Json, at: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = [place for key, item in items for place in _places(item, (*at, key))]
    return found or [at]


def _replace(value: Json, place: tuple[str | int, ...]) -> None:
    at: Json = value
    for step in place[:-1]:
        at = at[step]  # type: ignore[index]
    old = at[place[-1]]  # type: ignore[index]
    new: Json = old + 1 if isinstance(old, int) else "f" + old[1:] if isinstance(old, str) and old[:1] != "f" else [7]
    if isinstance(old, str) and old.startswith("0x"):
        new = old[:-1] + ("0" if old[-1] != "0" else "1")
    at[place[-1]] = new  # type: ignore[index]


def test_another_file_is_told_from_a_bad_one(good: Omission) -> None:
    with pytest.raises(InputError, match="it is not a proof of omission"):
        parse_omission(b'{"format":"millmark.plan"}')
    with pytest.raises(InputError, match="it is not a proof of omission"):
        parse_omission(b"\xff")
    with pytest.raises(OmissionRefusedError, match="malformed, or of another version than 1"):
        parse_omission(encode_omission(good).replace(b'"version":1}', b'"version":2}'))
