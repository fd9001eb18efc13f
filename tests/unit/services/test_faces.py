"""Terminal, JSON, passport and portal tell one story of a part, in the words of one list, in both languages."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from millmark.ledger.records import Gate, NoteKind
from millmark.ledger.verify import Section, describe
from millmark.ledger.verify.statements import LANGUAGES, words_of
from tests.support.gateway_client import LINK
from tests.support.stores import new_store
from tests.support.story import (
    BUYER,
    CARRIER,
    COORDINATOR,
    DRAFT,
    INSPECTOR,
    MAKER,
    MODEL,
    NONE,
    OTHER,
    STREAM,
    Story,
    name,
    tell,
    terms_of,
)
from tests.support.story_site import ORDER, PART, StorySite, as_shown, gated, note

OTHER_LOT, PALLET = name("other lot"), name("pallet")
TOLD = (Section.PART, Section.ATTENTION, Section.ORIGIN)
"""The sections that pages tell with or without a proof."""


def digest(number: int) -> bytes:
    return bytes([number]) * 32


def failed_then_passed_elsewhere() -> Story:
    story = Story()
    story.receive(PART)
    story.on_lot("LotQuarantined", PART)
    story.certify(PART, verdict=2)
    story.on_lot("LotReleased", PART)
    story.certify(PART, by=OTHER, leaf_index=9, inference_digest=digest(2))
    return story


def refuted_and_certified_again() -> Story:
    story = gated()
    story.settle("CertificateRefuted", PART, story.certify(PART, ORDER, leaf_index=7))
    story.certify(PART, ORDER, leaf_index=7, inference_digest=digest(2))
    return story


def one_measurement_for_two_operations() -> Story:
    story = Story()
    story.place(ORDER, operations=2)
    story.accept(ORDER)
    for operation in (0, 1):
        assignment = story.propose(ORDER, operation)
        story.step("AssignmentAccepted", ORDER, assignment, operation)
        story.start(ORDER, assignment, operation)
        if not operation:
            story.commission(PART, ORDER, assignment)
        story.step("AssignmentFinished", ORDER, assignment, operation, stream=STREAM, leaf_index=3, leaf_hash=NONE)
    return story


def certified_by_its_maker() -> Story:
    story = Story()
    story.record("OrderPlaced", BUYER, ORDER, terms=terms_of(1, ()))
    story.accept(ORDER)
    assignment = story.propose(ORDER)
    story.step("AssignmentAccepted", ORDER, assignment)
    story.start(ORDER, assignment)
    story.commission(PART, ORDER, assignment)
    story.step("AssignmentCancelled", ORDER, assignment, by=COORDINATOR)
    story.certify(PART, ORDER, by=MAKER)
    return story


def failed_and_waived() -> Story:
    story = gated()
    failed = story.certify(PART, ORDER, verdict=2)
    story.record("GateWaived", BUYER, PART, inspector=INSPECTOR, certificate=failed, reason_root=NONE)
    return story


def waived_and_taken_on_a_pallet() -> Story:
    story = gated()
    story.record("GateWaived", BUYER, PART, inspector=INSPECTOR, certificate=0, reason_root=NONE)
    story.receive(PALLET)
    story.pack(PALLET, PART)
    story.offer(PALLET)
    story.take(PALLET)
    return story


def taken_back() -> Story:
    story = Story()
    story.receive(PART)
    story.offer(PART)
    story.take(PART)
    story.record("CustodyReclaimed", MAKER, PART, from_=CARRIER, reason_root=NONE)
    return story


def called_back_while_its_certificate_is_doubted() -> Story:
    story = gated()
    story.demand(PART, story.certify(PART, ORDER, leaf_index=7))
    note(story, NoteKind.RECALL_NOTICE)
    return story


CASES: dict[Callable[[], Story], tuple[dict[str, str], ...]] = {
    failed_then_passed_elsewhere: (
        {
            "en": "PASSED: certificate 5 by Ill Inspect, with model 20",
            "zh": "合格：证书 5，由 Ill Inspect 签发，使用模型 20",
        },
        {"en": "A-1 failed: certificate 3 by Umbra", "zh": "A-1 检验不合格：Umbra 的证书 3"},
        {"en": "A-1 was released from quarantine by Alder", "zh": "Alder 解除了 A-1 的隔离"},
        {"en": "certificate 3 of A-1 by Umbra: fail, in force", "zh": "Umbra 对 A-1 的证书 3：不合格，生效中"},
    ),
    refuted_and_certified_again: (
        {"en": "PASSED: certificate 9 by Umbra", "zh": "合格：证书 9，由 Umbra 签发"},
        {"en": "certificate 7 of A-1 was opened by Vector and REFUTED", "zh": "A-1 的证书 7 的推理，证书被推翻"},
        {"en": "certificate 7 of A-1 by Umbra: pass, refuted", "zh": "Umbra 对 A-1 的证书 7：合格，已被推翻"},
        {"en": "records 7, 9 name one measurement: entry 7", "zh": "记录 7、9 引用了同一次测量"},
    ),
    one_measurement_for_two_operations: (
        {
            "en": "NO VERDICT by Umbra, whose certificate its order asks for",
            "zh": "没有 Umbra 的结论，而订单要求其证书",
        },
        {"en": "records 7, 11 name one measurement: entry 3", "zh": "记录 7、11 引用了同一次测量"},
    ),
    certified_by_its_maker: (
        {
            "en": "certificate 8 of A-1 is by Alder, who worked on A-1",
            "zh": "A-1 的证书 8 由 Alder 签发，而该公司参与了",
        },
        {"en": "A-1: worked on machine 10 of Alder", "zh": "A-1：在 Alder 的设备 10上加工"},
    ),
    failed_and_waived: (
        {"en": "QUARANTINED by Umbra", "zh": "已被 Umbra 隔离"},
        {"en": "FAILED: certificate 7 by Umbra", "zh": "不合格：证书 7，由 Umbra 签发"},
        {"en": "Nordwind waived the gate of Umbra for A-1", "zh": "Nordwind 让步接收 A-1，不凭 Umbra 的放行"},
        {
            "en": "Nordwind took A-1 without the gate of Umbra, whose certificate 7 is: fail",
            "zh": "Nordwind 让步接收 A-1，不凭 Umbra 的放行，而后者的证书 7 结论为不合格",
        },
    ),
    waived_and_taken_on_a_pallet: (
        {
            "en": "Nordwind took A-1 without the gate of Umbra, who had not certified it",
            "zh": "Nordwind 让步接收 A-1，不凭 Umbra 的放行，而后者未曾为其签发证书",
        },
        {"en": "A-1: handed over by Alder to Zeta, 2", "zh": "A-1：由 Alder 移交给 Zeta，2"},
    ),
    taken_back: (
        {"en": "A-1: handed over by Alder to Zeta, 2", "zh": "A-1：由 Alder 移交给 Zeta，2"},
        {"en": "A-1: taken back by Alder from Zeta, who may not act", "zh": "A-1：由 Alder 从不得行事的 Zeta 处收回"},
        {"en": "NO VERDICT: it has no certificate", "zh": "没有结论：没有证书"},
    ),
    called_back_while_its_certificate_is_doubted: (
        {"en": "record 9: Alder calls back A-1", "zh": "记录 9：Alder 召回 A-1"},
        {"en": "Vector doubts certificate 7 of A-1", "zh": "Vector 质疑 A-1 的证书 7"},
        {"en": "PASSED: certificate 7 by Umbra", "zh": "合格：证书 7，由 Umbra 签发"},
    ),
}
"""What each story must be told with, by language."""


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case.__name__)
def told(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[StorySite, tuple[dict[str, str], ...]]]:
    story: Story = request.param()
    with new_store(tmp_path_factory.mktemp("faces")) as store:
        yield StorySite(store, story, tell(story, PART, names={PART: LINK})), CASES[request.param]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_face_tells_the_same(told: tuple[StorySite, tuple[dict[str, str], ...]], language: str) -> None:
    site, expected = told
    said = [one for one in site.report.statements if one.section in TOLD and one.code != "part"]
    lines = describe(site.report, language)
    for one in said:
        assert any(words_of(language).text(one) in line for line in lines), "the terminal"
    assert [one["code"] for one in site.report.to_json()] == [one.code for one in site.report.statements]
    pages = {
        "the passport with a proof": site.passport(language, proved=True),
        "the passport without one": site.passport(language, proved=False),
        "the portal": site.page_of("lots", PART, language),
    }
    for face, page in pages.items():
        for sentence in expected:
            assert sentence[language] in page, face
        items = [item.strip() for item in re.split("[¶·]", page)]
        for one in said:
            assert items.count(as_shown(one, language)) == 1, (face, one.code)
    for sentence in expected:
        assert any(sentence[language] in as_shown(one, language) for one in said)


# Orders


@pytest.mark.parametrize(
    ("language", "sentence"),
    [("en", "records 8, 9 name one measurement: entry 5"), ("zh", "记录 8、9 引用了同一次测量")],
)
def test_an_order_tells_one_measurement_for_two_of_its_lots(tmp_path: Path, language: str, sentence: str) -> None:
    story = gated()
    story.commission(OTHER_LOT, ORDER, 3)
    for number, lot in enumerate((PART, OTHER_LOT)):
        story.certify(lot, ORDER, leaf_index=5, inference_digest=digest(1 + number))
    with new_store(tmp_path) as store:
        site = StorySite(store, story, tell(story, PART, OTHER_LOT))
        for kind, subject in (("orders", ORDER), ("lots", PART), ("lots", OTHER_LOT)):
            assert site.page_of(kind, subject, language).count(sentence) == 1, kind


def test_an_order_tells_one_measurement_for_two_operations_that_made_nothing_yet(tmp_path: Path) -> None:
    story = Story()
    story.place(ORDER, operations=2)
    story.accept(ORDER)
    for operation in (0, 1):
        assignment = story.propose(ORDER, operation)
        story.step("AssignmentAccepted", ORDER, assignment, operation)
        story.start(ORDER, assignment, operation)
        story.step("AssignmentFinished", ORDER, assignment, operation, stream=STREAM, leaf_index=3, leaf_hash=NONE)
    with new_store(tmp_path) as store:
        site = StorySite(store, story, tell(gated(), PART))
        assert "records 6, 10 name one measurement: entry 3" in site.page_of("orders", ORDER, "en")


def test_an_order_tells_every_verdict_on_its_lots(tmp_path: Path) -> None:
    """Not only the latest: of two gates, one failed."""
    story = Story()
    story.commission(PART, ORDER, begin_with_two_gates(story))
    story.certify(PART, ORDER, verdict=2, leaf_index=3)
    story.certify(PART, ORDER, by=OTHER, leaf_index=4, inference_digest=digest(2))
    with new_store(tmp_path) as store:
        page = StorySite(store, story, tell(story, PART)).page_of("orders", ORDER, "en")
        assert "FAILED: certificate 7 by Umbra" in page
        assert "PASSED: certificate 8 by Ill Inspect" in page
        assert page.count("certificate 7 of A-1 by Umbra: fail, in force") == 1


def begin_with_two_gates(story: Story) -> int:
    story.place(ORDER, 1, Gate(INSPECTOR, MODEL), Gate(OTHER, MODEL))
    story.accept(ORDER)
    assignment = story.propose(ORDER)
    story.step("AssignmentAccepted", ORDER, assignment)
    story.start(ORDER, assignment)
    return assignment


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_order_tells_what_stops_its_lots_or_has_them_wait(tmp_path: Path, language: str) -> None:
    story = called_back_while_its_certificate_is_doubted()
    with new_store(tmp_path) as store:
        page = StorySite(store, story, tell(story, PART)).page_of("orders", ORDER, language)
        for sentence in CASES[called_back_while_its_certificate_is_doubted]:
            assert page.count(sentence[language]) == 1


# What cannot be told


def test_a_story_that_is_too_long_to_tell_is_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("millmark.ledger.provenance.statements.MAX_RECORDS", 6)
    story = refuted_and_certified_again()
    with new_store(tmp_path) as store:
        site = StorySite(store, story, tell(story, PART, names={PART: LINK}))
        for page in (site.page_of("lots", PART, "en"), site.passport("en", proved=False)):
            assert "cannot be told here: There are more than 6 records about it and what it came from" in page
            assert "PASSED" not in page
        assert "PASSED" in site.passport("en", proved=True)


def test_an_index_that_breaks_the_rules_is_said_to_be_damaged(tmp_path: Path) -> None:
    story = gated()
    story.certify(PART, ORDER, model=DRAFT)  # which nobody approved
    with new_store(tmp_path) as store:
        site = StorySite(store, story, tell(gated(), PART))
        assert "cannot be told here: The index is damaged: " in site.page_of("lots", PART, "en")
        assert "此处无法说明其记录： 索引已损坏，请告知网关的运营方。" in site.page_of("lots", PART, "zh")
