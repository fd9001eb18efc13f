"""The page of what the consortium sees is ledger/VISIBLE.md, whole, in both languages."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from html import unescape
from importlib import resources

import pytest

from millmark.ledger.verify.statements import LANGUAGES
from millmark.services.portal.registers import parse_sections, texts_of, translate
from tests.support.portal_site import OWNER, Site
from tests.support.stores import new_store

SOURCE = (resources.files("millmark.ledger") / "VISIBLE.md").read_text("utf-8")
WORDS: dict[str, dict[str, str]] = {
    one: json.loads(
        (resources.files("millmark.services.portal") / "catalogue" / f"visible.{one}.json").read_text("utf-8")
    )
    for one in LANGUAGES
    if one != "en"
}
"""By language, and by the English text."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with new_store(tmp_path_factory.mktemp("visible")) as store:
        yield Site(store)


def seen(page: str) -> str:
    """Text of a page as a reader gets it, in one line."""
    return " ".join(unescape(re.sub(r"<[^>]+>", "", page)).split())


def words(lines: Iterable[str]) -> Counter[str]:
    return Counter(word for line in lines for word in re.findall(r"[^\s|#*]+", line))


def test_nothing_of_the_source_is_lost() -> None:
    """All its words, but for the rules of tables."""
    told: list[str] = []
    for section in parse_sections(SOURCE):
        told += [section.title, *section.paragraphs]
        for table in section.tables:
            told += [table.name, *table.head, *(cell for row in table.rows for cell in row)]
    assert words(told) == words(
        line for line in SOURCE.splitlines() if not re.fullmatch(r"[|-]+", line) and line != "No fields."
    )


@pytest.mark.parametrize("language", WORDS)
def test_every_text_is_translated_and_no_other_one(language: str) -> None:
    assert set(texts_of(parse_sections(SOURCE))) == set(WORDS[language])
    for text, said in WORDS[language].items():
        assert language != "zh" or re.search(r"[\u4e00-\u9fff]", said), text
        assert re.findall(r"`[^`]+`", text) == re.findall(r"`[^`]+`", said), text


def test_a_text_without_a_translation_is_not_passed_over() -> None:
    changed = SOURCE.replace("who recorded it", "who wrote it")
    with pytest.raises(KeyError, match="who wrote it"):
        translate(parse_sections(changed), WORDS["zh"])


@pytest.mark.parametrize("participant", [None, OWNER])
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_shows_all_of_it_to_anybody(site: Site, language: str, participant: int | None) -> None:
    answer = site.browser(participant).get(f"/portal/visible?lang={language}")
    assert answer.status_code == 200
    page = seen(answer.text)
    for section in parse_sections(SOURCE):
        for table in section.tables:
            assert table.name in page
            for cell in (cell for row in table.rows for cell in row):
                shown = WORDS.get(language, {}).get(cell, cell)
                assert " ".join(shown.replace("`", "").split()) in page


@pytest.mark.parametrize("language", ["en", "zh"])
def test_other_pages_lead_to_it(site: Site, language: str) -> None:
    title = {"en": "What the consortium sees", "zh": "联盟能看到什么"}
    for path in ("/", "/portal", "/portal/status", "/portal/sign-in"):
        page = site.browser(OWNER).get(f"{path}?lang={language}").text
        assert f'<a href="/portal/visible">{title[language]}</a>' in page.partition("<footer")[2], path
