"""What participants' pages say: lists page by page, load, recall; two languages, whole; accessible structure."""

from __future__ import annotations

import csv
import enum
import io
import itertools
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from importlib import resources

import pytest

from millmark.ledger.provenance import reader
from millmark.ledger.verify.statements import LANGUAGES, Words, words_of
from millmark.services.portal import pages
from millmark.services.portal.listings import build_load
from millmark.services.portal.pages import Catalogue, Pages, read_catalogues
from millmark.services.portal.recalls import build_csv
from tests.support.fake_world import BUYER, SMITH, World, lot_trace
from tests.support.gateway_client import LINK, Browser, Caller
from tests.support.portal_pages import ANYBODY, EVENTS, PAGES
from tests.support.portal_site import OWNER, Site
from tests.support.stores import new_store
from tests.unit.services.test_portal_passport import LOT_KEY, PART, salt_of
from tests.unit.services.test_portal_passport import serve as serve_codes
from tests.unit.services.test_portal_passport import world as coded_world  # noqa: F401  # a fixture

MEMBER_PAGES = [
    path
    for (method, path), may in PAGES.items()
    if method == "GET" and may is not ANYBODY and "{" not in path and not path.endswith(".csv") and path != EVENTS
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with new_store(tmp_path_factory.mktemp("pages")) as store:
        yield Site(store)


def paths(site: Site) -> list[str]:
    """Every kind of page."""
    world = site.world
    things = [
        f"/portal/lots/{world.lots['hip 1'].hex()}",
        f"/portal/orders/{world.orders['hip'].hex()}",
        f"/portal/machines/{world.machine}",
        f"/portal/recall?model={world.model}",
        "/portal/recall?model=x",
        "/portal/recall?model=77",
        "/portal/sign-in",
        "/portal/sign-in?address=0x6813Eb9362372EEF6200f3b1dbC3f819671cBA69",
        "/portal/sign-in?address=none",
        "/portal/visible",
        f"/portal/lots/{'77' * 32}",
        "/",
        PART,
        "/01/1",
    ]
    return [*MEMBER_PAGES, *things]


# Lists


def test_lists_are_paged_to_their_end(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = re.findall(r"/portal/lots/([0-9a-f]{64})", site.browser(OWNER).get("/portal/lots").text)
    monkeypatch.setattr(pages, "PAGE_ITEMS", 2)
    for tenant in (OWNER, BUYER):
        expected = re.findall(r"/portal/lots/([0-9a-f]{64})", whole_list(site, tenant, monkeypatch))
        path, seen = "/portal/lots", list[str]()
        for _ in range(len(whole) + 1):
            page = site.browser(tenant).get(path).text
            found = re.findall(r"/portal/lots/([0-9a-f]{64})", page)
            assert len(found) <= 2
            seen += found
            following = re.search(r'href="([^"]+)" rel="next"', page)
            if following is None:
                break
            path = following[1]
        assert seen == expected


def whole_list(site: Site, tenant: int, monkeypatch: pytest.MonkeyPatch) -> str:
    with monkeypatch.context() as patch:
        patch.setattr(pages, "PAGE_ITEMS", 100)
        return site.browser(tenant).get("/portal/lots").text


def test_a_cursor_is_of_one_list_and_one_company(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "PAGE_ITEMS", 1)
    found = re.search(r"cursor=([^\"]+)\" rel", site.browser(OWNER).get("/portal/lots").text)
    assert found is not None
    assert site.browser(OWNER).get(f"/portal/lots?cursor={found[1]}").status_code == 200
    assert site.browser(SMITH).get(f"/portal/lots?cursor={found[1]}").status_code == 400
    assert site.browser(OWNER).get(f"/portal/orders?cursor={found[1]}").status_code == 400


# Load

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def work(*spans: tuple[int, int | None]) -> list[tuple[int, int | None]]:
    """From and to so many seconds after noon."""
    noon = int(NOON.timestamp())
    return [(noon + begin, None if end is None else noon + end) for begin, end in spans]


def test_load_counts_what_was_under_way_at_once() -> None:
    load = build_load(work((0, 25), (10, 15), (20, None)))
    assert len(load) == 24
    assert [span.under_way for span in load[-3:]] == [1, 2, 2]
    assert sum(span.under_way for span in load[:-3]) == 0
    assert load[-1].begin == NOON + timedelta(seconds=20)


def test_load_covers_years_in_few_spans() -> None:
    load = build_load(work((0, 60), (86_400 * 365, 86_400 * 365 + 60)))
    assert len(load) == 24
    assert load[0].begin <= NOON <= load[-1].end
    assert sum(span.under_way for span in load) == 2


def test_nothing_started_is_no_load() -> None:
    assert build_load(work()) == ()


def test_a_load_of_some_of_the_work_says_so(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    path = f"/portal/machines/{site.world.machine}"
    assert "Drawn from the latest" not in site.browser(OWNER).get(path).text
    monkeypatch.setattr(reader, "MAX_WORK", 1)
    assert "Drawn from the latest" in site.browser(OWNER).get(path).text
    assert "仅根据最近" in site.browser(OWNER).get(f"{path}?lang=zh").text


# Recall


def test_a_recall_names_holders_and_lots_and_downloads_all(site: Site) -> None:
    browser = site.browser(OWNER)
    page = browser.get(f"/portal/recall?model={site.world.model}").text
    assert "Clinic" in page
    (link,) = re.findall(r'href="(/portal/recall.csv[^"]+)"', page)
    answer = browser.get(link.replace("&amp;", "&"))
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert 'filename="recall.csv"' in answer.headers["content-disposition"]
    assert answer.content.startswith(b"\xef\xbb\xbf"), "or spreadsheets misread names"
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert {row["identifier"] for row in rows} >= {"urn:example:hip-1", "urn:example:hip-3"}
    assert {row["status"] for row in rows} == {"valid"}
    assert {row["unit"] for row in rows} == {"pc"}


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("model=x", 400),
        ("model=-1", 400),
        ("model=" + "9" * 30, 400),
        ("model=1&lot=urn:example:bar", 400),
        ("lot=nonsense%20of%20words", 400),
        ("lot=nonsense", 404),
        ("machine=8&since=2026-01-01", 400),
        ("machine=8&since=2026-01-01&until=soon", 400),
        ("machine=8&since=2026-01-02&until=2026-01-01", 400),
        ("since=2026-01-01", 400),
        ("model=77", 404),
        ("lot=urn:example:none", 404),
    ],
)
def test_what_cannot_be_recalled_is_told(site: Site, query: str, status: int) -> None:
    answer = site.browser(OWNER).get(f"/portal/recall?{query}")
    assert answer.status_code == status
    assert 'role="alert"' in answer.text
    assert 'value="' in answer.text


def test_a_foreign_thing_is_recalled_as_an_unknown_one(site: Site) -> None:
    browser = site.browser(BUYER)
    foreign, none = (browser.get(f"/portal/recall?lot=urn:example:{name}") for name in ("billet", "bullet"))
    assert foreign.status_code == none.status_code == 404
    assert foreign.text.replace("billet", "NAME") == none.text.replace("bullet", "NAME")


def test_a_machines_times_are_utc(site: Site) -> None:
    query = f"machine={site.world.machine}&since=2020-01-01 00:00&until=2030-01-01T00:00:00Z"
    assert "What it affected" in site.browser(OWNER).get(f"/portal/recall?{query}").text


def test_no_cell_of_the_file_is_a_formula(site: Site) -> None:
    from millmark.ledger.provenance import recall  # noqa: PLC0415 - next to what it is for

    found = recall(site.store, lot=lot_trace(site.world, "bar").lot.subject)
    lots = tuple(
        type(lot)(**{**{name: getattr(lot, name) for name in lot.__slots__}, "identifier": identifier})
        for lot, identifier in zip(found.lots, ("=1+1", "+1", "-1", "@x", "\t=1"), strict=False)
    )
    changed = type(found)(**{**{name: getattr(found, name) for name in found.__slots__}, "lots": lots})
    text = build_csv(site.store, changed, read_catalogues()["en"])
    cells = [row[0] for row in list(csv.reader(io.StringIO(text)))[1:]]
    assert len(cells) == 5
    assert all(cell.startswith("'") for cell in cells)


# Languages


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_catalogue_has_the_same_keys_and_places(language: str) -> None:
    folder = resources.files("millmark.services.portal") / "catalogue"
    texts = [(folder / f"{one}.json").read_text("utf-8") for one in ("en", language)]
    english, words = map(json.loads, texts)
    assert len(json.loads(texts[1], object_pairs_hook=list)) == len(words), "a key is given twice"
    assert english.keys() == words.keys()
    for key, text in english.items():
        assert words[key].strip(), key
        # What another program says in English, others may leave out.
        left_out = set(re.findall(r"{(\w+)}", text)) ^ set(re.findall(r"{(\w+)}", words[key]))
        assert left_out <= {"words"}, key
        said = re.sub(r"{\w+}|[A-Z]", "", words[key])
        assert language != "zh" or re.search(r"[\u4e00-\u9fff]", said) or not re.search(r"\w", said), key


@dataclass
class Texts(HTMLParser):
    """All text of a page that a reader sees, but for what nobody translates."""

    found: list[str] = field(default_factory=list)
    stack: list[tuple[str, bool]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        hidden = any(one for _, one in self.stack)
        if tag not in ("meta", "link", "input", "br", "img", "path", "rect", "circle"):
            self.stack.append((tag, hidden or named.get("translate") == "no" or tag in ("svg", "time")))
        if not hidden and named.get("translate") != "no":
            self.found += [named[name] or "" for name in ("aria-label", "alt") if named.get(name)]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Shapes: they have no text."""

    def handle_endtag(self, tag: str) -> None:
        while self.stack and self.stack.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        if not any(hidden for _, hidden in self.stack):
            self.found.append(data)


class BracketedWords(Words):
    """The words of statements in brackets, those of enumerations, too, which are their members' names in English."""

    def member(self, member: enum.Enum) -> str:
        return f"⟦{super().member(member)}⟧"

    def unit(self, code: str) -> str:
        return f"⟦{super().unit(code)}⟧"


def bracketed_words(language: str) -> Words:
    words = words_of(language)
    templates, titles, phrases, units = (
        {key: f"⟦{text}⟧" for key, text in one.items()}
        for one in (words.templates, words.titles, words.phrases, words.units)
    )
    return BracketedWords(templates, titles, phrases, units, words.enumerations)


@contextmanager
def bracketed(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every text of the catalogue and of statements in brackets: what then stands outside was written into a page."""
    monkeypatch.setattr("millmark.services.portal.pages.words_of", bracketed_words)
    words = json.loads((resources.files("millmark.services.portal") / "catalogue" / "en.json").read_text("utf-8"))
    pages: Pages = caller.app.state.portal.pages
    kept = pages._catalogues
    pages._catalogues = {one: Catalogue(one, {key: f"⟦{text}⟧" for key, text in words.items()}) for one in LANGUAGES}
    try:
        yield
    finally:
        pages._catalogues = kept


def bare_words(page: str) -> list[str]:
    texts = Texts()
    texts.feed(page)
    outside, again = " ".join(texts.found), 1
    while again:  # from the inside out: values are within the sentences that name them
        outside, again = re.subn(r"⟦[^⟦⟧]*⟧", "", outside)
    return re.findall(r"[^\W\d_]{2,}", re.sub(r"Millmark|UTC|<title>", "", outside))


def test_no_page_has_a_word_that_is_in_no_catalogue(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    with bracketed(site.caller, monkeypatch):
        for path in paths(site):
            if path == "/portal/visible":
                continue  # its words are a document's: test_portal_visible.py
            assert not bare_words(site.browser(OWNER).get(path).text), path


def test_no_passport_has_a_word_that_is_in_no_catalogue(
    coded_world: World,  # noqa: F811  # the fixture
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caller = serve_codes(coded_world)
    with bracketed(caller, monkeypatch):
        for link, path in ((LINK, PART), (LOT_KEY, "/01/09506000134352/10/HEAT-7")):
            for what in ("", "/passport/label"):
                page = caller.ask(f"{what}{path}?salt={salt_of(link)}").text
                assert "⟦" in page
                assert not bare_words(re.sub("<title>.*</title>", "", page))  # which names the part


# Structure


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_has_landmarks_headings_and_labels(site: Site, language: str) -> None:
    browser = site.browser(OWNER)
    for path in paths(site):
        page = browser.get(f"{path}{'&' if '?' in path else '?'}lang={language}").text
        assert f'<html lang="{language}">' in page, path
        for part in ("<main id=", "<footer", 'class="skip"', "<h1", "</title>\n<link"):
            assert page.count(part) == 1, (path, part)
        levels = [int(level) for level in re.findall(r"<h([1-6])", page)]
        assert levels[0] == 1
        assert all(after <= before + 1 for before, after in itertools.pairwise(levels)), (path, levels)
        ids = re.findall(r'\sid="([^"]+)"', page)
        assert len(ids) == len(set(ids)), path
        for name in re.findall(r'aria-(?:labelledby|describedby)="([^"]+)"', page):
            assert set(name.split()) <= set(ids), (path, name)
        assert page.count("<table") == page.count("<caption"), path
        assert not re.search(r"<th(?! scope)(?=[ >])", page), path
        for control in re.findall(r'<(?:input type="text"|textarea) id="(\w+)"', page):
            assert f'<label for="{control}">' in page, (path, control)


def test_the_browser_is_told_what_not_to_do(site: Site) -> None:
    for path in paths(site):
        headers = site.browser(OWNER).get(path).headers
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "unsafe" not in headers["content-security-policy"]


def test_a_name_is_never_markup(site: Site) -> None:
    evil = '"><script>alert(1)</script>'
    browser: Browser = site.browser(OWNER)
    for path in ("/portal/recall?lot=", "/portal/sign-in?address=", "/portal/sign-in?next="):
        page = browser.get(path + evil.replace('"', "%22").replace("<", "%3C").replace(">", "%3E")).text
        assert "<script>" not in page  # the page has one of its own, which has attributes
