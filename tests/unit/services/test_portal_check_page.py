"""The page that verifies in a browser, as a gateway serves it: its files, and what is said where there is none."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest

from millmark.services.check.build import MANIFEST
from millmark.services.check.fixed import list_sums
from millmark.services.commands.gateway import _warn_without_page
from millmark.services.portal.check_page import CHECK_HEADERS, CheckPage
from tests.support.portal_site import Site
from tests.support.stores import new_store

LONG = b"// a module\n" * 200
FILES = {"index.html": b"<!doctype html>\n", "check.js": LONG, "kept.js": b"export const memory = true;\n"}
FILES |= {"memory.bin": bytes(2000), "pyodide/pyodide.asm.wasm.gz": gzip.compress(bytes(9000), mtime=0) + bytes(2000)}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("check")
    for name, content in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / MANIFEST).write_bytes(list_sums(FILES))
    (folder / "notes.txt").write_text("not part of the page")
    return folder


@pytest.fixture(scope="module")
def site(page: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with new_store(tmp_path_factory.mktemp("site")) as store:
        yield Site(store, check_page=page)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A gateway whose page was not packed."""
    folder = tmp_path_factory.mktemp("bare")
    with new_store(folder) as store:
        yield Site(store, check_page=folder / "none")


@pytest.mark.parametrize("name", [*FILES, MANIFEST])
def test_each_file_is_served_as_it_lies_in_the_folder(site: Site, page: Path, name: str) -> None:
    path = f"/check/{'' if name == 'index.html' else name}"
    for accepted in ("gzip", "identity"):
        answer = site.browser().get(path, Accept_Encoding=accepted)
        assert answer.status_code == 200
        assert answer.content == (page / name).read_bytes()
        packed = accepted == "gzip" and name == "check.js"
        assert answer.headers.get("content-encoding") == ("gzip" if packed else None)
        assert answer.headers["content-security-policy"] == CHECK_HEADERS["Content-Security-Policy"]
    again = site.browser().get(path, If_None_Match=answer.headers["etag"])
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("name", ["notes.txt", "%2e%2e/parts.py", "pyodide", "x"])
def test_of_a_missing_file_the_page_says_that_it_is_none_of_the_part(site: Site, name: str) -> None:
    answer = site.browser().get(f"/check/{name}")
    assert answer.status_code == 404
    assert "The page that checks proofs has no such file" in answer.text
    assert 'href="/check/"' in answer.text
    assert "Scan the code" not in answer.text


@pytest.mark.parametrize("change", ["another", "gone"])
def test_a_page_that_was_packed_again_is_not_served_half_and_half(tmp_path: Path, change: str) -> None:
    (tmp_path / "page").mkdir()
    files = {"index.html": b"<!doctype html>\n", "check.js": LONG}
    for name, content in {**files, MANIFEST: list_sums(files)}.items():
        (tmp_path / "page" / name).write_bytes(content)
    with new_store(tmp_path) as store:
        browser = Site(store, check_page=tmp_path / "page").browser()
        assert browser.get("/check/").status_code == 200
        if change == "gone":
            (tmp_path / "page" / "check.js").unlink()
        else:
            (tmp_path / "page" / "check.js").write_bytes(LONG * 2)
        assert browser.get("/check/check.js").status_code == 404
        assert browser.get("/check/").status_code == 200


@pytest.mark.parametrize("name", ["", "index.html", MANIFEST, "x"])
def test_a_gateway_without_the_page_says_so_and_what_to_do(bare: Site, name: str) -> None:
    answer = bare.browser().get(f"/check/{name}")
    assert answer.status_code == 404
    assert "The page that checks proofs is not at this gateway" in answer.text
    assert "scripts/check_page" in answer.text
    assert "Scan the code" not in answer.text
    assert 'href="/check/"' not in answer.text
    chinese = bare.browser().get(f"/check/{name}", Accept_Language="zh")
    assert "此网关没有核验证明的页面" in chinese.text


def test_at_its_start_a_gateway_says_in_one_line_that_it_lacks_the_page(
    page: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _warn_without_page(CheckPage(page))
    assert capsys.readouterr().err == ""
    _warn_without_page(CheckPage(tmp_path))
    [line] = capsys.readouterr().err.splitlines()
    assert "not packed in this installation; run scripts/check_page" in line


def test_a_wrong_code_is_still_said_to_be_wrong(site: Site) -> None:
    answer = site.browser().get("/01/09506000013459/21/UNKNOWN?salt=" + "A" * 43)
    assert answer.status_code == 404
    assert "Scan the code on the part again" in answer.text
