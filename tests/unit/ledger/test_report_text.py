"""What strangers wrote cannot pass for what the verifier says, nothing is parsed before it is believed, and an answer
is printed on any terminal: findings 11, 12 and 16 (ledger/verify/FINDINGS.md)."""

from __future__ import annotations

import enum
import io
import json
import re
import sys
import unicodedata
from dataclasses import replace

import pytest

from millmark.ledger.bundle import OpenBundle, encode_bundle, open_bundle, parse_bundle
from millmark.ledger.bundle import _model as limits
from millmark.ledger.canonical import Json
from millmark.ledger.errors import BundleError
from millmark.ledger.records import Contract
from millmark.ledger.terminal import NO_ANSWER, write
from millmark.ledger.verify import Step, VerificationError, describe, verify_bundle
from millmark.ledger.verify.__main__ import main
from millmark.ledger.verify.printable import _is_seen, printable, quoted
from millmark.ledger.verify.statements import LANGUAGES, Fields, Party, Thing, Unit, say, words_of
from millmark.services.portal.pages import _helpers, _statement, read_catalogues
from millmark.services.text.trace import _unit
from tests.support.bundle_vector import DATA, TRUST, vector_bytes, vector_now, vector_trust

HOSTILE = {
    "a control character": "a\x1b[2Jb",
    "a line break": "a\nVERIFIED",
    "a direction": "a\u202eb",
    "an isolate": "a\u2067b",
    "an invisible letter": "a\u3164b",
    "a filler": "a\u115fb",
    "a blank of Braille": "a\u2800b",
    "a zero-width space": "a\u200bb",
    "a soft hyphen": "a\u00adb",
    "the first variation selector": "a\ufe00b",
    "the last of the first": "a\ufe0fb",
    "the first selector of Mongolian": "a\u180bb",
    "the last of Mongolian": "a\u180fb",
    "the first selector of ideographs": "a\U000e0100b",
    "the last of ideographs": "a\U000e01efb",
    "a tag": "a\U000e0041b",
    "Hebrew": "a\u05d0b",
    "Arabic": "a\u0627b",
    "an Arabic digit": "a\u0661b",
    "a run of spaces": "a    b",
    "a no-break space": "a\u00a0b",
    "an enclosing circle": "a\u20ddb",
    "five accents": "a" + "\u0301" * 5,
    "a lone surrogate": "a\ud800b",
    "a private character": "a\ue000b",
}


@pytest.mark.parametrize("what", HOSTILE)
def test_v16_what_hides_or_moves_is_escaped(what: str) -> None:
    shown = printable(HOSTILE[what])
    assert shown != HOSTILE[what]
    assert "\\" in shown
    assert printable(shown) != shown, "an escape cannot be imitated"
    assert shown.isprintable()


@pytest.mark.parametrize(
    "text",
    # The last two stand behind the selectors of Mongolian and the first ones.
    ["für Mara", "曲轴", "crank 7", "Ærø", "e\u0301", "Ελλάδα", "😀", "XXL für X", "\u1810", "\ufe10"],
)
def test_v16_text_of_people_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


def test_v16_no_letter_of_unicode_that_is_shown_is_from_the_right_or_has_no_form_of_its_own() -> None:
    seen = list(filter(_is_seen, map(chr, range(sys.maxunicode + 1))))
    # Of no direction are accents ("NSM"), which belong to their letters, and signs; the only blank is a space.
    assert {unicodedata.bidirectional(one) for one in seen} == {"L", "EN", "ES", "ET", "CS", "ON", "NSM", "WS"}
    assert [one for one in seen if unicodedata.category(one)[0] in "CZ"] == [" "]
    assert not [one for one in seen if "VARIATION SELECTOR" in unicodedata.name(one, "")]


def test_v16_an_escape_has_as_many_digits_as_its_letter_needs() -> None:
    assert [printable(one) for one in ("\\é", "\x9b", "\u0600", "\uffff", "\U000e0100")] == [
        "\\\\é", "\\x9b", "\\u0600", "\\uffff", "\\U000e0100",
    ]  # fmt: skip


def test_v16_a_name_of_a_field_cannot_forge_more_fields() -> None:
    forged = Fields(((('serial "A0006", heat "verified", x',), 1), (("a/b",), 2), (("a", "b"), 3)))
    shown = words_of("en").value(forged)
    assert shown == r'"serial \"A0006\", heat \"verified\", x" 1, "a/b" 2, "a"/"b" 3'


def test_v16_values_are_told_apart_by_kind() -> None:
    values: list[Json] = [1, "1", None, "null", [1, "a"], {"a": "b"}]
    assert [quoted(one) for one in values] == [
        "1", '"1"', "null", '"null"', '[1, "a"]', '{"a": "b"}',
    ]  # fmt: skip


def test_v16_a_unit_cannot_be_read_as_a_number() -> None:
    for code in ("000", "  0", "%", "\u0661", "kg?"):
        assert '"' in words_of("en").value(Unit(code))
    assert words_of("en").value(Unit("KGM")) == "kg"
    assert words_of("zh").value(Unit("H87")) == "件"
    thing = Thing(bytes(32), "urn:example:a")
    line = say("stands", None, state=Step.STATUS, quantity=5, unit=Unit("000"), holder=Party(1, "Zeta"), lot=thing)
    assert '5 unit "000"' in str(line)


class Unknown(enum.Enum):
    OF_TWO_WORDS = 1


def test_a_member_that_a_language_has_no_word_for_is_told_by_its_name() -> None:
    assert words_of("en").value(Contract.REGISTRY) == "registry"
    assert words_of("zh").value(Unknown.OF_TWO_WORDS) == "of two words"


@pytest.mark.parametrize("what", HOSTILE)
def test_v16_no_face_shows_it_raw(what: str) -> None:
    """Text, JSON and page."""
    report = verify_bundle(vector_bytes(), vector_trust(), now_s=vector_now())
    line = next(one for one in report.statements if one.code == "document")
    hostile = replace(line, values={**line.values, "fields": Fields((((HOSTILE[what],), HOSTILE[what]),))})
    report = replace(report, statements=(hostile,))
    for language in LANGUAGES:
        page = str(_statement(words_of(language), hostile))
        for face in ("\n".join(describe(report, language)), page):
            assert HOSTILE[what] not in face
    text = json.dumps(report.to_json())
    assert text.isascii()
    assert HOSTILE[what] not in json.loads(text)[0]["text"]


def test_v16_traces_and_pages_quote_units_that_they_do_not_know() -> None:
    helpers = _helpers(read_catalogues()["en"])
    for show in (_unit, helpers["unit"]):
        assert show("\x1b[2") == '"\\x1b[2"'
        assert show("000") == '"000"'
        assert '"' not in show("KGM")


def test_v16_pages_escape_what_others_wrote() -> None:
    helpers = _helpers(read_catalogues()["en"])
    for what, text in HOSTILE.items():
        for helper in ("data", "brief", "called"):
            assert text not in str(helpers[helper](text)), what


# Files


def test_v11_disclosures_are_parsed_only_when_headers_trust_and_checkpoint_are_right(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def never(opened: OpenBundle) -> None:  # as the method
        raise AssertionError("parsed before it was believed")

    monkeypatch.setattr(OpenBundle, "parse", never)
    other = replace(vector_trust(), chain_id=7)
    for trust, now_s, step in (
        (other, vector_now(), Step.TRUST),
        (vector_trust(), vector_now() + 10**9, Step.CHECKPOINT),
    ):
        with pytest.raises(VerificationError) as caught:
            verify_bundle(vector_bytes(), trust, now_s=now_s)
        assert caught.value.step is step


def test_v11_the_number_of_disclosed_values_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    data = vector_bytes()
    monkeypatch.setattr(limits, "MAX_SHOWN_VALUES", 100)
    with pytest.raises(BundleError, match="more than 100 values are disclosed"):
        parse_bundle(data)
    with pytest.raises(VerificationError) as caught:
        verify_bundle(data, vector_trust(), now_s=vector_now())
    assert caught.value.step is Step.FORMAT


def test_v11_the_number_of_links_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_ALL_LINKS", 10)
    with pytest.raises(BundleError, match="more than 10 records of all histories"):
        parse_bundle(vector_bytes())


def test_v11_text_that_reads_like_the_headers_is_none() -> None:
    """Within disclosed JSON, it precedes them."""
    bundle = parse_bundle(vector_bytes())
    first = next(one for one in bundle.evidence if one.shown is not None)
    assert first.shown is not None
    shown = replace(first.shown, entry={"a": 1, "headers": [], "z": [',"headers":[']})
    changed = replace(
        bundle, evidence=tuple(replace(one, shown=shown) if one is first else one for one in bundle.evidence)
    )
    data = encode_bundle(changed)
    assert data.count(b',"headers":[') == 2
    assert open_bundle(data).parse() == changed


def test_unused_bits_of_any_text_are_refused() -> None:
    """Each base64url text of the file has one form: its last digit is changed to one that decodes to the same bytes."""
    data = vector_bytes()
    start = data.rfind(b',"headers":[')
    digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    texts = [
        one for one in re.finditer(rb'"([A-Za-z0-9_-]{20,})"', data) if one.start() > start and len(one[1]) % 4 > 1
    ]
    assert len(texts) > 100
    for one in texts[:: len(texts) // 100]:
        last = one.end() - 2
        other = digits[digits.index(data[last]) + 1]
        with pytest.raises(BundleError, match="unused bits are set"):
            parse_bundle(data[:last] + bytes((other,)) + data[last + 1 :])


# Output


class Narrow(io.TextIOWrapper):
    """A terminal of some encoding."""

    def __init__(self, encoding: str) -> None:
        self.memory = io.BytesIO()
        super().__init__(self.memory, encoding=encoding)

    def text(self) -> str:
        return self.memory.getvalue().decode(self.encoding)


@pytest.mark.parametrize(
    "encoding", ["ascii", "cp1252", "latin-1", "cp437", "gbk", "utf-8", "utf-16", "cp037", "koi8_r"]
)
def test_v12_any_encoding_takes_the_answer(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    out = Narrow(encoding)
    monkeypatch.setattr(sys, "stdout", out)
    assert main([str(DATA), "--trust", str(TRUST), "--max-age", "1000000"]) == 0
    assert '"engraving"' in out.text()


class Broken(io.StringIO):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def write(self, text: str) -> int:  # noqa: ARG002  # as in a file
        raise self.error


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), BrokenPipeError(), ValueError("I/O operation on closed file")]
)
def test_v12_a_full_or_closed_output_is_told_by_the_exit_code(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", Broken(error))
    assert main([str(DATA), "--trust", str(TRUST), "--max-age", "1000000"]) == NO_ANSWER
    assert capsys.readouterr().err == "millmark: the answer cannot be written; check the output and its disk\n"
    assert not write(None, "closed before Python started")


def test_v12_too_little_memory_is_no_refusal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def exhausted(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr("millmark.ledger.verify.files.verify_files", exhausted)
    assert main([str(DATA), "--trust", str(TRUST)]) == NO_ANSWER
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("mark", ["\u0301", "\u20dd", "\u0e34", "\u1b44"])
def test_two_accents_on_a_letter_are_shown_and_a_third_is_escaped(mark: str) -> None:
    """Of Latin, around a letter, and of Thai and Balinese, where Unicode counts what stands on a letter otherwise."""
    shown = [printable("e" + mark * count + "x") for count in (1, 2, 3)]
    allowed = 0 if mark == "\u20dd" else 2  # what encloses a letter is never shown
    assert [text.count(mark) for text in shown] == [min(count, allowed) for count in (1, 2, 3)]
    assert all(text.startswith("e") and text.endswith("x") for text in shown)


def test_at_the_beginning_of_a_text_a_space_and_two_accents_are_shown() -> None:
    assert printable(" é") == " é"
    assert printable("\u0301\u0301\u0301") == "\u0301\u0301\\u0301"


def test_an_accent_that_is_escaped_does_not_make_room_for_more() -> None:
    assert printable("e\u0301\u20dd\u0301x") == "e\u0301\\u20dd\\u0301x"
