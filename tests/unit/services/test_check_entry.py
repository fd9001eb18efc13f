"""What the page that verifies in a browser tells first of a part."""

from __future__ import annotations

from dataclasses import replace

from millmark.ledger.verify import verify_bundle
from millmark.ledger.verify.report import find_waits
from millmark.ledger.verify.statements import Party, Thing, say
from millmark.services.check.entry import _told
from tests.support.bundle_vector import vector_bytes, vector_now, vector_trust


def test_a_part_that_is_called_back_is_not_said_to_wait() -> None:
    found = verify_bundle(vector_bytes(), vector_trust(), now_s=vector_now())
    [doubt] = find_waits(found.statements)
    found = replace(found, statements=tuple(one for one in found.statements if one.subject == doubt.subject))
    told = _told(found, "en")
    assert (told["waits"], told["worth"]) == (True, "open")
    part = next(one.values["lot"] for one in found.statements if one.code == "part" and one.subject == doubt.subject)
    assert isinstance(part, Thing)
    by = Party(1, "Alder")
    notice = say("recall_notice", doubt.subject, about=(part,), by=by, record=9)
    told = _told(replace(found, statements=(*found.statements, notice)), "en")
    assert (told["waits"], told["worth"]) == (False, "bad")
