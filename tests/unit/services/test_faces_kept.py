"""What a passport tells beside a proof that was kept: what came later, and what of the proof is over by then."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from millmark.ledger.records import Gate, NoteKind
from millmark.ledger.store import Book
from millmark.ledger.verify import Statement
from millmark.ledger.verify.statements import LANGUAGES
from tests.support.gateway_client import LINK
from tests.support.stores import new_store
from tests.support.story import AUDITOR, INSPECTOR, MAKER, MODEL, NONE, OTHER, Story, tell
from tests.support.story_site import ORDER, PART, StorySite, as_shown, gated, note

ADDED = "What happened after that block is told by this gateway’s records, and not by the proof."


def test_what_happened_after_a_kept_proof_is_told(tmp_path: Path) -> None:
    """By the index, beside what the proof tells: the page is not green."""
    story = gated()
    passed = story.certify(PART, ORDER, leaf_index=7)
    earlier = tell(story, PART, names={PART: LINK})
    story.record("CertificateRevoked", INSPECTOR, PART, certificate=passed, reason_root=NONE)
    with new_store(tmp_path) as store:
        site = StorySite(store, story, earlier)
        page = site.passport("en", proved=True, kept=True)
        assert "PASSED: certificate 7 by Umbra" in page, "as the proof has it"
        title = site.html.partition('id="badge-title"')[2].partition("</p>")[0]
        assert "PASSED" not in title, "it passes no longer"
        assert "revoked" in title
        assert "Before that its certificate said:" in page
        assert page.count("certificate 7 of A-1 by Umbra: pass, revoked") == 1
        assert "A-1: made by Alder" in page.partition("Proof ¶")[2], "all that the proof tells stands there, too"
        assert ADDED in page
        assert 'class="badge bad"' in site.html
        page = site.passport("en", proved=True)
        assert "pass, revoked" not in page
        assert ADDED not in page
        assert 'class="badge good"' in site.html


OVER = {
    "en": "By this gateway’s records, these no longer hold, as of block",
    "zh": "根据本网关的记录，以下各项已不再成立，",
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_of_what_a_kept_proof_says_the_page_tells_what_is_settled_since(tmp_path: Path, language: str) -> None:
    """The proof cannot know it: the headline stays as it is proved, and the page says that it is no longer so."""
    story = gated()
    story.certify(PART, ORDER, leaf_index=7)
    note(story, NoteKind.RECALL_NOTICE)
    recalled = tell(story, PART, names={PART: LINK})
    [recall] = [one for one in recalled.statements if one.code == "recall_notice"]
    with new_store(tmp_path) as store:
        site = StorySite(store, story, recalled)
        assert OVER[language] not in site.passport(language, proved=True, kept=True), "it stands"
    note(story, NoteKind.RESOLUTION)
    with new_store(tmp_path, "later.db") as store:
        site = StorySite(store, story, recalled)
        page = site.passport(language, proved=True, kept=True)
        told = page.partition(OVER[language])[2].split("¶")[1:3]
        assert as_shown(recall, language) in [one.strip() for one in told]
        assert 'class="badge bad"' in site.html
        assert OVER[language] not in site.passport(language, proved=True), "as a proof that was made now"


def ahead(one: Statement) -> Statement:
    """As a proof of a later block has it."""
    return replace(one, values={**one.values, "block": 99}) if one.code == "as_of" else one


def test_an_index_that_is_behind_a_kept_proof_does_not_speak_against_it(tmp_path: Path) -> None:
    """As where the proof was made by another gateway, and this one follows no chain any more."""
    story = gated()
    story.certify(PART, ORDER, leaf_index=7)
    note(story, NoteKind.RECALL_NOTICE)
    with new_store(tmp_path) as store:
        site = StorySite(store, story, tell(story, PART, names={PART: LINK}))
        note(story, NoteKind.RESOLUTION)
        report = tell(story, PART, names={PART: LINK})
        site.report = replace(report, statements=tuple(map(ahead, report.statements)))
        badge = site.passport("en", proved=True, kept=True).partition("That this was recorded")[0]
        assert "PASSED: certificate 7 by Umbra" in badge
        assert "RECALLED" not in badge
        assert 'class="badge good"' in site.html, "it was called back once, and that is settled"
        assert "called back before, settled since" in badge
        assert "Ask before you use it" not in badge


def test_a_notice_is_told_although_the_one_that_a_kept_proof_knows_is_resolved(tmp_path: Path) -> None:
    story = gated()
    story.certify(PART, ORDER, leaf_index=7)
    note(story, NoteKind.RECALL_NOTICE)
    earlier = tell(story, PART, names={PART: LINK})
    note(story, NoteKind.RESOLUTION)
    note(story, NoteKind.RECALL_NOTICE)
    with new_store(tmp_path) as store:
        site = StorySite(store, story, earlier)
        page = site.passport("en", proved=True, kept=True)
        notices = [f"record {number}: Alder calls back A-1" for number in (8, 10)]
        assert all(one in page.partition("That this was recorded")[0] for one in notices)
        assert [one in page.partition(OVER["en"])[2][:200] for one in notices] == [True, False]


def test_an_index_that_is_behind_a_kept_proof_leaves_it_green(tmp_path: Path) -> None:
    story = gated()
    with new_store(tmp_path) as store:
        site = StorySite(store, story, tell(story, PART, names={PART: LINK}))
        story.certify(PART, ORDER, leaf_index=7)
        report = tell(story, PART, names={PART: LINK})
        site.report = replace(report, statements=tuple(map(ahead, report.statements)))
        site.passport("en", proved=True, kept=True)
        assert 'class="badge good"' in site.html


def test_the_picture_shows_as_stopped_what_a_kept_proof_says_is(tmp_path: Path) -> None:
    """Although the index, which is behind it, does not know it yet."""
    story = gated()
    with new_store(tmp_path) as store:
        site = StorySite(store, story, tell(story, PART, names={PART: LINK}))
        story.on_lot("LotQuarantined", PART)
        report = tell(story, PART, names={PART: LINK})
        site.passport("en", proved=False)
        assert '<g class="asked bad">' not in site.html
        site.report = replace(report, statements=tuple(map(ahead, report.statements)))
        assert "QUARANTINED by Alder" in site.passport("en", proved=True, kept=True)
        assert '<g class="asked bad">' in site.html


def test_whose_quarantine_is_over_and_whose_is_not_are_told_apart(tmp_path: Path) -> None:
    story = gated()
    story.on_lot("LotQuarantined", PART)
    earlier = tell(story, PART, names={PART: LINK})
    story.on_lot("LotReleased", PART)
    story.certify(PART, ORDER, verdict=2)
    with new_store(tmp_path) as store:
        page = StorySite(store, story, earlier).passport("en", proved=True, kept=True)
        badge, _, over = page.partition(OVER["en"])
        assert "QUARANTINED by Umbra" in badge
        assert "QUARANTINED by Alder" in over[:200]


def refuted(story: Story) -> None:
    story.settle("CertificateRefuted", PART, 7)


def upheld(story: Story) -> None:
    story.record("CertificateUpheld", AUDITOR, PART, certificate=7, executed=False)


def certified_again(story: Story) -> None:
    story.certify(PART, ORDER, leaf_index=9, inference_digest=b"\2" * 32)


@pytest.mark.parametrize(
    ("happens", "title", "stands", "is_over"),
    [
        (upheld, "WAIT", True, True),
        (refuted, "NO VALID VERDICT: certificate 7", False, False),
        (certified_again, "WAIT", True, False),
    ],
)
def test_a_doubt_that_a_kept_proof_knows_is_said_to_be_over_once_its_certificate_was_upheld(
    tmp_path: Path, happens: Callable[[Story], None], title: str, stands: bool, is_over: bool
) -> None:
    story, doubt = gated(), "Vector doubts certificate 7 of A-1"
    story.demand(PART, story.certify(PART, ORDER, leaf_index=7))
    earlier = tell(story, PART, names={PART: LINK})
    happens(story)
    with new_store(tmp_path) as store:
        page = StorySite(store, story, earlier).passport("en", proved=True, kept=True)
        badge, _, over = page.partition("What was proved, what was not")[0].partition(OVER["en"])
        assert title in badge.partition("¶ PASSED")[0]
        assert (doubt in badge) is stands
        assert (doubt in over) is is_over


def test_whom_later_records_name_is_not_said_to_be_missing_in_the_trust_file(tmp_path: Path) -> None:
    """Only the proof has one; later records are told with the names in the company's own book."""
    story = gated()
    story.certify(PART, ORDER, leaf_index=7)
    earlier = tell(story, PART, names={PART: LINK})
    note(story, NoteKind.RECALL_NOTICE)
    with new_store(tmp_path) as store:
        site = StorySite(store, story, earlier)
        with store.transaction() as connection:
            Book(connection).set_names({})
        badge = site.passport("en", proved=True, kept=True).partition("That this was recorded")[0]
        assert f"participant {MAKER} calls back" in badge
        assert "trust file" not in badge


def test_of_two_gates_the_pass_that_fell_since_is_told_although_the_other_failed_before(tmp_path: Path) -> None:
    story, passed, failed = with_two_gates(2)
    earlier = tell(story, PART, names={PART: LINK})
    story.record("CertificateRevoked", INSPECTOR, PART, certificate=passed, reason_root=NONE)
    with new_store(tmp_path) as store:
        site = StorySite(store, story, earlier)
        badge = site.passport("en", proved=True, kept=True).partition("That this was recorded")[0]
        assert "PASSED" not in badge
        assert f"NO VALID VERDICT: certificate {passed}" in badge
        assert f"FAILED: certificate {failed}" in badge


def reworked(story: Story) -> None:
    story.rework(PART, assignment=3)


@pytest.mark.parametrize(("happens", "why"), [(refuted, "certificate 7 of A-1 by Umbra: pass, refuted"),
                                              (reworked, "A-1 was reworked by Alder")])  # fmt: skip
@pytest.mark.parametrize("doubted", [False, True])
def test_a_pass_that_fell_since_is_no_headline_although_another_certificate_passes(
    tmp_path: Path, happens: Callable[[Story], None], why: str, doubted: bool
) -> None:
    story = gated()
    story.certify(PART, ORDER, leaf_index=7)
    earlier = tell(story, PART, names={PART: LINK})
    happens(story)
    another = story.certify(PART, ORDER, leaf_index=9, inference_digest=b"\2" * 32)
    if doubted:
        story.demand(PART, another)
    with new_store(tmp_path) as store:
        site = StorySite(store, story, earlier)
        badge, _, after = site.passport("en", proved=True, kept=True).partition("That this was recorded")
        title = site.html.partition('id="badge-title"')[2].partition("</p>")[0]
        assert "PASSED" not in title
        assert ("WAIT" in title) is doubted
        assert why in badge
        assert f"it passes by another certificate since: ¶ ¶ PASSED: certificate {another} by Umbra" in badge
        assert badge.index("Before that its certificate said: ¶ ¶ PASSED: certificate 7") < badge.index("since:")
        assert ADDED in after
        assert 'class="badge open"' in site.html, "not stopped"


def with_two_gates(verdict: int = 1) -> tuple[Story, int, int]:
    """A part, and what the inspectors of its order's gates certified of it: a pass, and this verdict."""
    story = Story()
    story.place(ORDER, 1, Gate(INSPECTOR, MODEL), Gate(OTHER, 0))
    story.accept(ORDER)
    assignment = story.propose(ORDER)
    story.step("AssignmentAccepted", ORDER, assignment)
    story.start(ORDER, assignment)
    story.commission(PART, ORDER, assignment)
    return story, story.certify(PART, ORDER, leaf_index=7), by_other(story, 8, verdict)


def by_other(story: Story, leaf: int, verdict: int = 1) -> int:
    digest = bytes([leaf]) * 32
    return story.certify(PART, ORDER, by=OTHER, verdict=verdict, model=0, leaf_index=leaf, inference_digest=digest)


def released(story: Story, by: int) -> None:
    """The inspector lets go what its fail had put in quarantine; the fail stands."""
    story.on_lot("LotReleased", PART, by=by)


def title_of(site: StorySite) -> str:
    """What the title of the badge says, in one line."""
    return re.sub(r"<[^>]+>", "", site.html.partition(' class="badge-title">')[2].partition("</p>")[0])


@pytest.mark.parametrize("verdict", [1, 2])
def test_a_rework_that_ended_what_both_gates_passed_by_is_told_once(tmp_path: Path, verdict: int) -> None:
    """A fail of the proof stays in the title: the headline says what the file proves, but for passes that fell."""
    story, first, second = with_two_gates(verdict)
    if verdict == 2:
        released(story, OTHER)
    earlier = tell(story, PART, names={PART: LINK})
    reworked(story)
    anew = story.certify(PART, ORDER, leaf_index=9, inference_digest=b"\2" * 32), by_other(story, 10)
    with new_store(tmp_path) as store:
        site = StorySite(store, story, earlier)
        badge = site.passport("en", proved=True, kept=True).partition("That this was recorded")[0]
        assert title_of(site).count("A-1 was reworked") == 1
        assert "PASSED" not in title_of(site)
        assert (f"FAILED: certificate {second}" in title_of(site)) is (verdict == 2)
        assert f"Before that its certificate said: ¶ ¶ PASSED: certificate {first}" in badge
        passes = badge.partition("it passes by another certificate since:")[2].partition("¶ 2")[0]
        assert [f"PASSED: certificate {one} by" in passes for one in (first, *anew)] == [False, True, True]
        assert f'class="badge {"bad" if verdict == 2 else "open"}"' in site.html


def test_what_passed_before_is_not_said_to_pass_since(tmp_path: Path) -> None:
    story, first, second = with_two_gates()
    earlier = tell(story, PART, names={PART: LINK})
    story.settle("CertificateRefuted", PART, first)
    another = story.certify(PART, ORDER, leaf_index=9, inference_digest=b"\2" * 32)
    with new_store(tmp_path) as store:
        page = StorySite(store, story, earlier).passport("en", proved=True, kept=True)
        badge = page.partition("That this was recorded")[0]
        before, _, since = badge.partition("it passes by another certificate since:")
        assert f"PASSED: certificate {second}" in before
        assert f"PASSED: certificate {another}" in since
        assert f"PASSED: certificate {second}" not in since


def expired(story: Story) -> None:
    story.certify(PART, ORDER, leaf_index=7, expires_at=story.now + 60)


def failed(story: Story) -> None:
    story.certify(PART, ORDER, leaf_index=7, verdict=2)
    released(story, INSPECTOR)


@pytest.mark.parametrize(
    ("was", "title"), [(expired, "NO VALID VERDICT: certificate 7"), (failed, "FAILED: certificate 7")]
)
def test_a_part_that_passes_since_is_said_to_beside_what_its_proof_says_against_it(
    tmp_path: Path, was: Callable[[Story], None], title: str
) -> None:
    """A proof is judged when it is read: what expired stays its headline, which is on the safe side, and is over."""
    story = gated()
    was(story)
    earlier = tell(story, PART, names={PART: LINK})
    if was is failed:
        reworked(story)
    certified_again(story)
    with new_store(tmp_path) as store:
        site = StorySite(store, story, earlier)
        badge, _, after = site.passport("en", proved=True, kept=True).partition("That this was recorded")
        assert title in title_of(site)
        assert "it passes by another certificate since: ¶ ¶ PASSED: certificate" in badge
        assert title in after.partition(OVER["en"])[2][:200]
        assert 'class="badge bad"' in site.html


def test_a_fail_is_the_title_although_the_other_gate_is_doubted(tmp_path: Path) -> None:
    story, doubted, second = with_two_gates(2)
    released(story, OTHER)
    story.demand(PART, doubted)
    with new_store(tmp_path) as store:
        site = StorySite(store, story, tell(story, PART, names={PART: LINK}))
        badge = site.passport("en", proved=True).partition("That this was recorded")[0]
        assert f"FAILED: certificate {second}" in title_of(site)
        assert "WAIT" not in badge
        assert "PASSED" not in title_of(site)
        assert f"Vector doubts certificate {doubted} of A-1" in badge
        assert f"Its certificate says: ¶ ¶ PASSED: certificate {doubted}" in badge


def test_a_part_without_a_certificate_is_not_said_to_have_had_one(tmp_path: Path) -> None:
    story = gated()
    earlier = tell(story, PART, names={PART: LINK})
    passed = story.certify(PART, ORDER, leaf_index=7)
    story.record("CertificateRevoked", INSPECTOR, PART, certificate=passed, reason_root=NONE)
    with new_store(tmp_path) as store:
        page = StorySite(store, story, earlier).passport("en", proved=True, kept=True)
        assert "NO VALID VERDICT: certificate 7 by Umbra" in page
        assert "its certificate said" not in page
