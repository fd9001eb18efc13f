"""Step 7: an identifier names what the bundle has. Forged identifiers are in tests/proofs/forging.py."""

from __future__ import annotations

from dataclasses import replace

import pytest

from millmark.ledger.bundle import Bundle, IdentityShown
from millmark.ledger.headers import parse_header
from millmark.ledger.ids import SubjectKind
from millmark.ledger.names import subjects_of
from millmark.ledger.slots import NameKeySlots, StreamSlots, head_slot, machine_slot, slots_of
from millmark.ledger.verify._proofs import StateProof, _verify_place, subject_of, verify_identifiers
from millmark.ledger.verify.report import IdentifiersRefused, ProofsRefused, TrustRefused
from tests.support.bundle_vector import vector_bundle, vector_content, vector_trust
from tests.support.story import MAKER, NONE, Story, Table, hidden, name

ORDER, LOT = name("order"), name("lot")


@pytest.mark.parametrize(("kind", "there"), [(SubjectKind.ORDER, ORDER), (SubjectKind.LOT, LOT)], ids=["order", "lot"])
def test_an_identifier_leads_to_something_of_its_kind_in_the_bundle(kind: SubjectKind, there: bytes) -> None:
    story = Story()
    story.commission(LOT, ORDER, story.begin(ORDER))
    state = story.replay(LOT)
    never = NameKeySlots(NONE, 0, 0)
    state.proved = replace(state.proved, name_keys=Table({}, never))  # type: ignore[arg-type]  # what is asked of it
    identity = IdentityShown(kind, MAKER, "urn:example:one", ())
    _verify_place(state, identity, there)
    for elsewhere in {ORDER, LOT, hidden()} - {there}:
        with pytest.raises(IdentifiersRefused, match=f"does not lead to any {kind.name.lower()} in the bundle"):
            _verify_place(state, identity, elsewhere)


@pytest.mark.parametrize(
    ("identifier", "cause"),
    [("URN:EXAMPLE:one", "is not in canonical form, which is urn:example:one"), ("one", "one: ")],
)
def test_an_identifier_that_is_not_canonical_is_refused_before_its_salt_is_looked_at(
    identifier: str, cause: str
) -> None:
    identity = next(one for one in vector_content().bundle.identities if one.kind is SubjectKind.LOT)
    story = Story()
    story.receive(LOT)
    bundle = replace(story.bundle(LOT), identities=(replace(identity, identifier=identifier),))
    with pytest.raises(IdentifiersRefused, match=cause):
        verify_identifiers(bundle, story.replay(LOT), nameless=False)


@pytest.mark.parametrize("creator", [-1, 2**32])
def test_an_identifier_of_nobody_who_can_be_a_participant_is_refused(creator: int) -> None:
    identity = IdentityShown(
        SubjectKind.MACHINE, creator, "urn:example:press", vector_content().bundle.identities[0].proofs
    )
    with pytest.raises(ProofsRefused, match=r"urn:example:press: the participant -?\d+ is not from 0"):
        subject_of(identity)


class Asked(StateProof):
    """Notes which words are read, of a state in which only some are not zero."""

    def __init__(self, bundle: Bundle, *stored: bytes) -> None:
        super().__init__(bundle, parse_header(bundle.headers[0]))
        self.stored, self.asked = stored, list[tuple[bytes, bytes]]()

    def _word(self, address: bytes, slot: bytes) -> bytes:
        self.asked.append((address, slot))
        return b"\0" * 31 + bytes([slot in self.stored])


def first_slot(kind: SubjectKind, name: bytes) -> bytes:
    if kind is SubjectKind.MACHINE:
        return machine_slot(name)
    return slots_of(StreamSlots, name)[0] if kind is SubjectKind.STREAM else head_slot(name)


@pytest.mark.parametrize("kind", [SubjectKind.ORDER, SubjectKind.LOT, SubjectKind.STREAM, SubjectKind.MACHINE])
def test_under_each_earlier_name_key_it_is_read_whether_anything_is_recorded(kind: SubjectKind) -> None:
    """By what is never zero of a thing of that kind: its head, a stream's sequence, or a machine's number."""
    bundle = vector_bundle()
    proofs = next(iter({one.proofs for one in bundle.identities if len(one.proofs) == 1}))
    one = IdentityShown(kind, MAKER, "urn:example:one", proofs * 3)
    assert list(Asked(bundle)._earlier(bundle, replace(one, proofs=proofs))) == []
    place = bundle.registry if kind is SubjectKind.MACHINE else bundle.ledger
    names = subjects_of(kind, MAKER, one.identifier, proofs * 2)
    slot = first_slot(kind, names[0])
    for stored, taken in (((), False), ((slot,), True)):
        proof = Asked(bundle, *stored)
        assert list(proof._earlier(bundle, one)) == [(name, taken) for name in names]
        assert proof.asked == [(place, slot)] * 2


def test_a_head_or_machine_of_which_a_node_is_missing_is_named() -> None:
    bundle = vector_bundle()
    proof = StateProof(bundle, parse_header(bundle.headers[0]))
    proof._storage_roots = dict.fromkeys((bundle.ledger, bundle.registry), b"\7" * 32)
    for read, address, what in (
        (proof._head, bundle.ledger, "the head: "),
        (proof._machine, bundle.registry, "the number of a machine: "),
    ):
        with pytest.raises(ProofsRefused, match=what) as caught:
            read(address, LOT)
        assert caught.value.subject == LOT


@pytest.mark.parametrize(
    ("member", "other", "shown"),
    [
        ("chain_id", 7, "chain id is 7, but the trust file says "),
        ("ledger", b"\7" * 20, f"ledger is 0x{'07' * 20}, but"),
    ],
)
def test_what_is_not_as_the_trust_file_says_is_shown_with_both(member: str, other: object, shown: str) -> None:
    bundle, trust = vector_bundle(), vector_trust()
    proof = StateProof(bundle, parse_header(bundle.headers[0]))
    changed = replace(bundle, **{member: other})  # type: ignore[arg-type]  # one of its members
    with pytest.raises(TrustRefused, match=shown):
        proof.verify_contracts(changed, trust)
