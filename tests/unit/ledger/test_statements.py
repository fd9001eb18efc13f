"""The list of statements: every face of a report is made from it, in every language."""

from __future__ import annotations

import json
import re
from importlib import import_module
from pathlib import Path

import pytest

import millmark.ledger.verify
from millmark.ledger.records import LotState
from millmark.ledger.verify import Kind, Section, describe, verify_bundle
from millmark.ledger.verify.report import find_first, find_waits, moment
from millmark.ledger.verify.statements import LANGUAGES, SECTIONS, Fields, Party, Thing, plain, say, words_of
from millmark.ledger.verify.words import en
from tests.support.bundle_vector import vector_bytes, vector_now, vector_trust
from tests.support.story import check_values

FOLDER = Path(millmark.ledger.verify.__file__).parent


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_language_says_the_same_statements_with_the_same_values(language: str) -> None:
    words = import_module(f"millmark.ledger.verify.words.{language}")
    said, english = (
        {name: {code: set(re.findall(r"{(\w+)}", text)) for code, text in codes.items()} for name, codes in one.items()}
        for one in (words.STATEMENTS, en.STATEMENTS)
    )
    assert said == english
    for one in ("TITLES", "PHRASES", "UNITS"):
        assert getattr(en, one).keys() == getattr(words, one).keys()


def test_the_page_on_statements_names_every_code_and_no_other() -> None:
    page = (FOLDER / "STATEMENTS.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([a-z_]+)`", page.partition("## head")[2].partition("## Text")[0]))
    assert named == SECTIONS.keys()


def test_every_code_is_said_by_the_verifier() -> None:
    files = (*FOLDER.glob("_*.py"), FOLDER / "recorded.py")
    sources = "".join(path.read_text(encoding="utf-8") for path in files)
    unsaid = [code for code in SECTIONS if f'"{code}"' not in sources]
    assert not unsaid


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_statement_of_a_report_has_a_text(language: str) -> None:
    found = verify_bundle(vector_bytes(), vector_trust(), now_s=vector_now())
    lines = "\n".join(describe(found, language))
    words = words_of(language)
    for one in found.statements:
        assert words.text(one) in lines
    assert "{" not in lines
    if language == "zh":
        assert not re.findall(r"[\u4e00-\u9fff][,.:]( |$)", lines, re.MULTILINE), "punctuation is Chinese"


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_empty_line_stands_before_each_heading_and_nowhere_else(language: str) -> None:
    found = verify_bundle(vector_bytes(), vector_trust(), now_s=vector_now())
    lines, words = describe(found, language), words_of(language)
    headings = [words.titles[one.value] for one in Section if one.value in words.titles and found.within(one)]
    headings += [words.text(one) for one in found.statements if one.code == "part"]
    assert sorted(lines[place + 1] for place, line in enumerate(lines) if not line) == sorted(headings)


def test_sections_stand_in_their_order_and_decide_the_kind() -> None:
    found = verify_bundle(vector_bytes(), vector_trust(), now_s=vector_now())
    order = list(Section)
    places = [order.index(one.section) for one in found.statements]
    assert places == sorted(places)
    assert {one.kind for one in found.within(Section.ATTENTION)} == {Kind.ATTENTION}
    assert {one.kind for one in found.within(Section.NOT_PROVED)} == {Kind.NOT_PROVED}
    assert len(found.attention) + len(found.proved) + len(found.not_proved) == len(found.statements)


def test_a_part_begins_with_its_verdict_and_history() -> None:
    """Failed, reworked, passed: before anything else about it."""
    found = verify_bundle(vector_bytes(), vector_trust(), now_s=vector_now())
    codes = [one.code for one in found.within(Section.PART)]
    names = [str(one) for one in found.within(Section.PART) if one.code == "part"]
    at = [place for place, code in enumerate(codes) if code == "part"]
    first = at[names.index("urn:example:hip-3")]
    assert codes[first : first + 6] == [
        "part", "passed", "event_failed", "event_reworked", "event_passed", "event_demanded",
    ]  # fmt: skip


def test_a_pass_that_is_doubted_is_not_told_first() -> None:
    found = verify_bundle(vector_bytes(), vector_trust(), now_s=vector_now())
    [doubt] = find_waits(found.statements)
    passed = [one for one in found.statements if one.code == "passed" and one.subject == doubt.subject]
    first = find_first(found.statements)
    assert doubt in first
    assert passed
    assert not set(passed) & set(first)
    assert first.index(doubt) < min(place for place, one in enumerate(first) if one.code == "passed")


def test_a_statement_is_json() -> None:
    found = verify_bundle(vector_bytes(), vector_trust(), now_s=vector_now())
    said = json.loads(json.dumps(found.to_json()))
    assert [one["code"] for one in said] == [one.code for one in found.statements]
    for one in said:
        assert one.keys() == {"kind", "section", "code", "subject", "records", "values", "text"}
    passed = next(one for one in said if one["code"] == "passed")
    assert passed["values"]["verdict"] == "pass"
    assert passed["records"] == [passed["values"]["certificate"]]


def test_statements_have_what_their_sentences_name() -> None:
    check_values(verify_bundle(vector_bytes(), vector_trust(), now_s=vector_now()))


def test_values_in_json_keep_what_they_are_made_of() -> None:
    told = say(
        "made",
        b"\1" * 32,
        (7,),
        lot=Thing(b"\1" * 32, "urn:example:lot"),
        inputs=(Thing(b"\2" * 32, None),),
        by=Party(3, "Alder"),
        time=moment(1_767_225_600),
        state=LotState.HELD,
        fields=Fields(((("heats", 0), ["A1", None, True]),)),
        number=5,
    )
    assert plain(told.values) == {
        "lot": {"subject": "0x" + "01" * 32, "identifier": "urn:example:lot"},
        "inputs": [{"subject": "0x" + "02" * 32, "identifier": None}],
        "by": {"participant": 3, "name": "Alder"},
        "time": "2026-01-01T00:00:00Z",
        "state": "held",
        "fields": {"fields": [[["heats", 0], ["A1", None, True]]]},
        "number": 5,
    }
