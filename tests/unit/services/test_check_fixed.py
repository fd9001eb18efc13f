"""The packed files of the page that verifies in a browser: what is not as listed is refused in one line."""

from __future__ import annotations

import lzma
import shutil
import sys
from pathlib import Path

import pytest

from millmark.ledger.errors import InputError
from millmark.services.check import fixed
from millmark.services.check.build import build_folder
from millmark.services.check.fixed import list_sums, read_fixed, write_fixed

FILES = {"pyodide/pyodide.mjs": b"export {};\n", "licences/qr-LICENSE": b"do as you like\n"}
CHECKOUT = Path(fixed.__file__).parent


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_fixed(FILES, tmp_path)
    return tmp_path


def test_what_was_packed_is_read(folder: Path) -> None:
    assert read_fixed(folder) == FILES
    assert (folder / "fixed.sha256").read_bytes() == list_sums(FILES)


def test_the_committed_files_are_those_of_their_list_with_their_licences() -> None:
    files = read_fixed()
    assert list_sums(files) == (CHECKOUT / "fixed.sha256").read_bytes()
    licences = {name.removeprefix("licences/") for name in files if name.startswith("licences/")}
    assert licences >= {f"{one}-LICENSE" for one in ("pyodide", "python", "noble-curves", "noble-hashes", "qr")}


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"", "cannot be read: "),
        (lzma.compress(b"no archive"), "cannot be read: "),
        (FILES | {"pyodide/pyodide.mjs": b"steal();\n"}, "has pyodide/pyodide.mjs with another checksum"),
        ({"pyodide/pyodide.mjs": b"export {};\n"}, "has licences/qr-LICENSE with another checksum"),
    ],
    ids=["missing", "empty", "no archive", "changed", "incomplete"],
)
def test_what_is_not_as_listed_is_refused_with_the_command_that_helps(
    folder: Path, content: bytes | dict[str, bytes] | None, cause: str
) -> None:
    archive, sums = folder / "fixed.tar.xz", (folder / "fixed.sha256").read_bytes()
    if isinstance(content, dict):
        write_fixed(content, folder)
    elif content is None:
        archive.unlink()
    else:
        archive.write_bytes(content)
    (folder / "fixed.sha256").write_bytes(sums)
    with pytest.raises(InputError) as refused:
        read_fixed(folder)
    assert f"{archive} {cause}" in refused.value.cause
    assert "git checkout services/check/fixed.tar.xz" in refused.value.hint
    assert "\n" not in str(refused.value)


def test_what_the_list_does_not_name_is_left_out(folder: Path) -> None:
    sums = (folder / "fixed.sha256").read_bytes()
    write_fixed(FILES | {"more.js": b"more();\n"}, folder)
    (folder / "fixed.sha256").write_bytes(sums)
    assert read_fixed(folder) == FILES


def test_without_its_list_nothing_is_unpacked(folder: Path) -> None:
    (folder / "fixed.sha256").unlink()
    with pytest.raises(InputError, match=r"fixed\.sha256 cannot be read: No such file"):
        read_fixed(folder)


def test_a_python_without_lzma_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lzma", None)
    with pytest.raises(InputError, match="this Python has no lzma"):
        read_fixed(folder)


def test_an_earlier_page_stays_where_another_cannot_be_packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "SHA256SUMS").write_text("earlier")
    shutil.copy(CHECKOUT / "fixed.sha256", tmp_path)
    monkeypatch.setattr("millmark.services.check.build.read_fixed", lambda: read_fixed(tmp_path))
    with pytest.raises(InputError, match=r"fixed\.tar\.xz cannot be read"):
        build_folder(tmp_path / "page", memory=False)
    assert (tmp_path / "page" / "SHA256SUMS").read_text() == "earlier"
