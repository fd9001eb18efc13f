"""Each language of LANGUAGES has each of its files: what is missing is named, file by file."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from millmark.ledger.verify.statements import LANGUAGES
from millmark.services.check.build import _index
from millmark.services.portal import pages, registers

ROOT = Path(__file__).parents[2]
PRODUCTS = sorted((ROOT / "services" / "products" / "catalogue").glob("*.json"))
CHECK = ROOT / "services" / "check" / "page"


def find_missing(tag: str, name: str) -> list[str]:
    """What a language lacks: files, and members of files that have all languages."""
    end = "" if tag == "en" else f".{tag}"
    files = (
        f"ledger/verify/words/{tag}.py",
        f"services/portal/catalogue/{tag}.json",
        f"services/portal/catalogue/visible{end}.json" if end else "ledger/VISIBLE.md",
        f"README{end}.md",
        f"ledger/how-it-works{end}.svg",
    )
    missing = [one for one in files if not (ROOT / one).is_file()]
    if end and f"[{name}](README{end}.md)" not in (ROOT / "README.md").read_text("utf-8"):
        missing.append(f"README.md: a link to README{end}.md")
    if tag not in json.loads((CHECK / "words.json").read_text("utf-8")):
        missing.append(f"services/check/page/words.json: {tag}")
    for path in PRODUCTS:
        names = re.findall(r'"names": ({[^}]*})', path.read_text("utf-8"))
        if lacking := sum(tag not in json.loads(one) for one in names):
            missing.append(f"{path.relative_to(ROOT)}: {lacking} of {len(names)} names")
    return missing


def test_each_language_has_each_of_its_files() -> None:
    missing = [one for tag, name in LANGUAGES.items() for one in find_missing(tag, name)]
    assert not missing, "\n".join(["missing, see LANGUAGES in ledger/verify/statements.py:", *missing])


def test_each_file_that_a_new_language_lacks_is_named() -> None:
    found = find_missing("xx", "Xish")
    assert found[:7] == [
        "ledger/verify/words/xx.py",
        "services/portal/catalogue/xx.json",
        "services/portal/catalogue/visible.xx.json",
        "README.xx.md",
        "ledger/how-it-works.xx.svg",
        "README.md: a link to README.xx.md",
        "services/check/page/words.json: xx",
    ]
    assert [one.partition(":")[0] for one in found[7:]] == [str(path.relative_to(ROOT)) for path in PRODUCTS]


def test_no_page_is_made_in_a_language_without_its_files(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = pages.Pages(secure=True, build_menu=lambda _: [])
    for module in (pages, registers):
        monkeypatch.setattr(module, "LANGUAGES", {**LANGUAGES, "xx": "Xish"})
    with pytest.raises(FileNotFoundError, match=r"xx\.json"):
        pages.Pages(secure=True, build_menu=lambda _: [])
    with pytest.raises(FileNotFoundError, match=r"visible\.xx\.json"):
        registers.Visible(shown).routes()
    with pytest.raises(ImportError, match=r"words\.xx"):
        pages.Catalogue("xx", {})


def test_the_page_that_checks_proofs_has_a_button_for_each_language() -> None:
    page = _index(CHECK / "index.html").decode()
    shown = re.findall(r'data-language="(\w+)" lang="(\w+)" translate="no">(.+)</button>', page)
    assert shown == [(tag, tag, name) for tag, name in LANGUAGES.items()]
