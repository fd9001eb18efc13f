"""Step 7: an identifier names what the bundle has. Forged identifiers are in tests/support/forging.py."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ledger.bundle import IdentityShown
from ledger.ids import SubjectKind
from ledger.slots import NameKeySlots
from ledger.verify._names import _verify_place, verify_identifiers
from ledger.verify.refusals import IdentifiersRefused
from tests.support.bundle_vector import vector_content
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
