"""What this product wrote is said in the page's language; what others wrote stays as it is."""

from __future__ import annotations

import re
from string import Formatter

import pytest
from markupsafe import Markup

from services.planning.feedback.sentences import Sentence, read_sentence
from services.portal.language import Language, read_catalogues
from services.portal.pages import _data
from services.portal.written import say_written

CATALOGUES = read_catalogues()


def said(text: str, language: Language = Language.ZH, *, error: bool = False) -> Markup:
    return say_written(CATALOGUES[language], _data, text, error=error)


def plain(found: Markup) -> str:
    return re.sub(r"<[^>]+>", "", found)


def fields_of(template: str) -> dict[str, str]:
    """Names and formats."""
    return {name: form or "" for _, name, form, _ in Formatter().parse(template) if name}


@pytest.mark.parametrize("sentence", Sentence, ids=lambda sentence: sentence.name)
def test_each_sentence_is_recognised_and_has_words(sentence: Sentence) -> None:
    fields = fields_of(sentence.value)
    values = {name: 7 if form == "d" else "drift" if name == "kind" else "words" for name, form in fields.items()}
    text = sentence.write(**values)
    assert read_sentence(text) == (sentence, {name: str(value) for name, value in values.items()})
    for catalogue in CATALOGUES.values():
        assert fields_of(catalogue.say(f"written.{sentence.name.lower()}")).keys() == fields.keys()
    assert plain(said(text, Language.EN)).replace("’", "'") == text.replace("drift:", "A drift alarm:")
    assert re.search("[\u4e00-\u9fff]", plain(said(text)))


def test_a_sentence_within_another_is_said_too() -> None:
    cause = Sentence.WITHDREW.write(cause=Sentence.FAILED.write(certificate=36))
    assert plain(said(cause)) == "其所有者撤回了报价：证书 36 判定其制品不合格"
    assert plain(said(Sentence.ACCEPTED.write())) == "操作员已接受"


@pytest.mark.parametrize(
    "words", ["this value is not accepted", "20 °C were refused: hot", "3 offers withdrawn", "no plan is possible: hot"]
)
def test_a_reason_stays_as_a_person_wrote_it(words: str) -> None:
    assert plain(said(Sentence.REFUSED.write(reason=words))) == f"操作员已拒绝：{words}"
    assert plain(said(f"spare part: {words}")) == f"spare part: {words}"
    assert plain(said(Sentence.IMPOSSIBLE.write(error=words))).startswith("无法制定计划：")


def test_what_others_wrote_stays_as_it_is() -> None:
    assert said("<b>3</b> offers") == '<span translate="no">&lt;b&gt;3&lt;/b&gt; offers</span>'
    assert said("it is gone", error=True) == '<span lang="en" translate="no">it is gone</span>'
    found = said(Sentence.IMPOSSIBLE.write(error="<no> offers"))
    assert found == '无法制定计划：<span lang="en" translate="no">&lt;no&gt; offers</span>'
