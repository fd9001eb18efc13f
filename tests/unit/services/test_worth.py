"""A part is worth the same on its passport and on the page that checks its proof, whatever happened to it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from millmark.ledger.records import NoteKind
from millmark.ledger.verify import Report
from millmark.ledger.verify._status import verify_status
from millmark.ledger.verify.report import StatusRefused
from millmark.ledger.verify.verifier import build_report
from millmark.services.check import entry
from tests.support.gateway_client import LINK
from tests.support.stores import new_store
from tests.support.story import BUYER, INSPECTOR, NONE, Story, verified_of
from tests.support.story_site import ORDER, PART, StorySite, gated, note


def passed(story: Story) -> int:
    return story.certify(PART, ORDER, leaf_index=7)


def failed(story: Story) -> int:
    """The inspector lets go what its fail had put in quarantine; the fail stands."""
    certificate = story.certify(PART, ORDER, leaf_index=6, verdict=2)
    story.on_lot("LotReleased", PART, by=INSPECTOR)
    return certificate


def quarantined(story: Story) -> None:
    story.certify(PART, ORDER, leaf_index=6, verdict=2)


def reworked(story: Story, leaf: int = 8) -> None:
    story.rework(PART, assignment=3)
    story.certify(PART, ORDER, leaf_index=leaf, inference_digest=bytes([leaf]) * 32)


def failed_and_reworked(story: Story) -> None:
    failed(story)
    reworked(story)


def passed_and_reworked_twice(story: Story) -> None:
    passed(story)
    reworked(story, 8)
    reworked(story, 9)


def passed_after_a_fail(story: Story) -> None:
    failed(story)
    passed(story)


def recalled(story: Story) -> None:
    passed(story)
    note(story, NoteKind.RECALL_NOTICE)


def recalled_and_settled(story: Story) -> None:
    recalled(story)
    note(story, NoteKind.RESOLUTION)


def revoked(story: Story) -> None:
    story.record("CertificateRevoked", INSPECTOR, PART, certificate=passed(story), reason_root=NONE)


def refuted(story: Story) -> None:
    story.settle("CertificateRefuted", PART, passed(story))


def revoked_and_passed_again(story: Story) -> None:
    revoked(story)
    story.certify(PART, ORDER, leaf_index=9, inference_digest=b"\2" * 32)


def expired(story: Story) -> None:
    story.certify(PART, ORDER, leaf_index=7, expires_at=story.now + 60)


def uncertified(_: Story) -> None:
    pass


def waived(story: Story) -> None:
    story.record("GateWaived", BUYER, PART, inspector=INSPECTOR, certificate=0)


def waived_after_a_fail(story: Story) -> None:
    story.record("GateWaived", BUYER, PART, inspector=INSPECTOR, certificate=failed(story))


def doubted(story: Story) -> None:
    story.demand(PART, passed(story))


def scrapped(story: Story) -> None:
    passed(story)
    story.on_lot("LotScrapped", PART, quantity=1)


WORLDS: list[tuple[Callable[[Story], Any], str, list[str]]] = [
    (passed, "good", []),
    (failed_and_reworked, "good", ["failed once before", "reworked once"]),
    (passed_and_reworked_twice, "good", ["reworked 2 times"]),
    (passed_after_a_fail, "good", ["failed once before"]),
    (recalled_and_settled, "good", ["called back before, settled since"]),
    (revoked_and_passed_again, "good", []),
    (uncertified, "open", []),
    (waived, "open", []),
    (doubted, "open", []),
    (failed, "bad", []),
    (quarantined, "bad", []),
    (waived_after_a_fail, "bad", []),
    (recalled, "bad", []),
    (revoked, "bad", []),
    (refuted, "bad", []),
    (expired, "bad", []),
    (scrapped, "bad", []),
]


@pytest.mark.parametrize(("happens", "worth", "chips"), WORLDS, ids=lambda one: getattr(one, "__name__", ""))
def test_passport_and_check_page_say_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, happens: Callable[[Story], Any], worth: str, chips: list[str]
) -> None:
    story = gated()
    happens(story)
    report, refused = judged(story)
    with new_store(tmp_path) as store:
        site = StorySite(store, story, report, refused=refused)
        site.passport("en", proved=True)
        assert re.findall(r'class="badge (\w+)"', site.html) == [worth]
        assert re.findall(r'<span class="chip past">([^<]*)<', site.html) == chips
        site.passport("zh", proved=True)
        assert len(re.findall(r'<span class="chip past">[^<]*[\u4e00-\u9fff]', site.html)) == len(chips)
    answer = checked(monkeypatch, report, refused)
    assert answer["worth"] == worth
    assert answer["outcome"] == ("verified" if refused is None else "refused")


def judged(story: Story) -> tuple[Report, StatusRefused | None]:
    """The report of a proof, and why its last step refuses it."""
    verified = verified_of(story, PART, names={PART: LINK})
    report = build_report(verified)
    try:
        verify_status(verified)
    except StatusRefused as error:
        error.report = report
        return report, error
    return report, None


def checked(monkeypatch: pytest.MonkeyPatch, report: Report, refused: StatusRefused | None) -> Any:
    """The answer to the page that checks."""

    def verify(*_: object, **__: object) -> Report:
        if refused is not None:
            raise refused
        return report

    monkeypatch.setattr(entry, "verify_bundle", verify)
    monkeypatch.setattr(entry, "parse_trust", lambda _: None)
    return json.loads(entry.check(b"", b"", 0, "en", 1, any_status=False))
