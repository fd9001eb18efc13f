"""The page that verifies in a browser, under Node: the same bytes each time, and the same answers as the verifier."""

from __future__ import annotations

import gzip
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from millmark.ledger.bundle import parse_bundle
from millmark.ledger.canonical import sha256
from millmark.ledger.errors import InputError
from millmark.ledger.headers import parse_header
from millmark.ledger.trust import parse_trust
from millmark.ledger.verify import Report, Step, verify_bundle
from millmark.ledger.verify.statements import LANGUAGES, words_of
from millmark.services.check.build import MANIFEST, build_folder, folder_digest
from millmark.services.check.fixed import collect_fixed, read_fixed
from tests.proofs import check_tests
from tests.support.bundle_content import Content, read_content
from tests.support.check_page import MODULES, ROOT, Checker, build_page, compare_forgeries, run_checker, unpack_page
from tests.support.figures import Tell
from tests.support.patience import MAX_S

VECTORS = Path(__file__).parents[1] / "vectors" / "bundle"
PER_STEP = 3
MOST_BYTES = 6_000_000


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("check") / "page"
    build_page(folder, memory=True)
    return folder


@pytest.fixture(scope="module")
def unpacked(page: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack_page(page, tmp_path_factory.mktemp("unpacked") / "page")


@pytest.fixture(scope="module")
def checker(unpacked: Path) -> Iterator[Checker]:
    with run_checker(unpacked) as checker:
        yield checker


@pytest.fixture(scope="module")
def content() -> Content:
    trust = parse_trust((VECTORS / "trust.json").read_bytes())
    return read_content(parse_bundle((VECTORS / "part.bundle").read_bytes()), trust)


@pytest.fixture(scope="module")
def now_s() -> int:
    """A moment after the vector's block."""
    return parse_header(parse_bundle((VECTORS / "part.bundle").read_bytes()).headers[0]).timestamp + 100


@pytest.mark.parametrize("memory", [False, pytest.param(True, marks=pytest.mark.left_out)], ids=["sources", "memory"])
def test_the_folder_has_the_same_bytes_each_time(memory: bool, tmp_path: Path) -> None:
    """By another program, elsewhere, for somebody with other habits."""
    digest = build_page(tmp_path / "page", memory=memory)
    habits = {"TZ": "Asia/Kathmandu", "LC_ALL": "tr_TR.ISO-8859-9", "PYTHONHASHSEED": "7", "PYTHONUTF8": "0"}
    command = [
        sys.executable,
        "-m",
        "millmark.services.check.build",
        str(tmp_path / "far" / "away"),
        *["--memory"][:memory],
    ]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **habits}
    built = subprocess.run(
        command, cwd=tmp_path, env=environment, umask=0o077, check=True, capture_output=True, text=True, timeout=MAX_S
    )
    assert built.stdout.split() == [digest] == [folder_digest(tmp_path / "far" / "away")]
    assert (tmp_path / "far" / "away" / MANIFEST).read_bytes() == (tmp_path / "page" / MANIFEST).read_bytes()


def test_the_manifest_lists_every_file_as_sha256sum_does(page: Path) -> None:
    lines = [line.split("  ") for line in (page / MANIFEST).read_text().splitlines()]
    found = {path.relative_to(page).as_posix() for path in page.rglob("*") if path.is_file()} - {MANIFEST}
    assert [name for _, name in lines] == sorted(found)
    assert [digest for digest, _ in lines] == [sha256((page / name).read_bytes()).hex() for _, name in lines]


def test_the_packed_files_are_those_of_the_packages() -> None:
    if not (MODULES / "pyodide").exists():
        pytest.skip("the packages of services/check are not installed: npm is needed")
    packed, published = read_fixed(), dict(collect_fixed(MODULES))
    name = "pyodide/pyodide.asm.wasm.gz"  # by this machine's compressor
    assert gzip.decompress(packed.pop(name)) == gzip.decompress(published.pop(name))
    assert packed == published, "run scripts/check_page --renew"


def test_a_changed_file_changes_the_digest(tmp_path: Path) -> None:
    digest = build_page(tmp_path / "page")
    (tmp_path / "page" / "check.js").write_bytes(b"")
    assert folder_digest(tmp_path / "page") != digest


def test_the_page_names_no_other_host(page: Path) -> None:
    """Nothing to load from elsewhere, not even an address that a mistake could load."""
    for name in (
        "index.html",
        "check.js",
        "worker.js",
        "python.js",
        "hashing.js",
        "local.js",
        "check.css",
        "portal.css",
        "words.json",
    ):
        text = (page / name).read_text()
        assert "http:" not in text, name
        assert "https:" not in text, name


def test_what_a_browser_loads_for_a_check_is_small(page: Path, tell: Tell) -> None:
    """Packed, as gateways serve it. The sources are for where the memory fails."""
    unused = ("code.json", "pyodide/python_stdlib.zip", MANIFEST)
    names = {path.relative_to(page).as_posix() for path in page.rglob("*") if path.is_file()} - {*unused}
    loaded = [page / name for name in names if not name.startswith("licences/")]
    size = sum(min(path.stat().st_size, len(gzip.compress(path.read_bytes()))) for path in loaded)
    tell(f"{size} bytes are loaded once")
    assert size <= MOST_BYTES


def test_python_starts_from_the_memory_that_was_kept(checker: Checker) -> None:
    assert checker.slow is None


def test_where_the_memory_is_not_as_it_was_kept_python_starts_from_its_sources_and_answers_alike(
    page: Path, checker: Checker, now_s: int, tmp_path: Path
) -> None:
    bundle, trust = ((VECTORS / name).read_bytes() for name in ("part.bundle", "trust.json"))
    unpacked = unpack_page(page, tmp_path / "unpacked")
    memory = bytearray((unpacked / "memory.bin").read_bytes())
    memory[len(memory) // 2] ^= 1
    (unpacked / "memory.bin").write_bytes(memory)
    with run_checker(unpacked) as slow:
        assert slow.slow is not None
        assert "cannot be unpacked" in slow.slow
        assert slow.check(bundle, trust, now_s) == checker.check(bundle, trust, now_s)


def test_without_a_memory_python_starts_from_its_sources_without_a_word_and_answers_alike(
    checker: Checker, now_s: int, tmp_path: Path
) -> None:
    bundle, trust = ((VECTORS / name).read_bytes() for name in ("part.bundle", "trust.json"))
    build_page(tmp_path / "page", memory=False)
    with run_checker(unpack_page(tmp_path / "page", tmp_path / "unpacked")) as plain:
        assert plain.slow is None
        assert plain.check(bundle, trust, now_s) == checker.check(bundle, trust, now_s)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_proof_is_told_as_the_verifier_tells_it(checker: Checker, now_s: int, language: str) -> None:
    bundle, trust = ((VECTORS / name).read_bytes() for name in ("part.bundle", "trust.json"))
    answer = checker.check(bundle, trust, now_s, language=language)
    report = verify_bundle(bundle, parse_trust(trust), now_s=now_s)
    assert answer["outcome"] == "verified"
    assert [line["text"] for section in answer["sections"] for line in section["lines"]] == _lines(report, language)


def test_what_is_no_bundle_or_no_trust_file_is_unusable(checker: Checker, now_s: int) -> None:
    bundle, trust = ((VECTORS / name).read_bytes() for name in ("part.bundle", "trust.json"))
    assert checker.check(b"{}", trust, now_s)["outcome"] == "unusable"
    assert checker.check(bundle, b"{}", now_s)["outcome"] == "unusable"


def test_an_old_proof_is_refused_unless_it_is_asked_for(checker: Checker, now_s: int) -> None:
    bundle, trust = ((VECTORS / name).read_bytes() for name in ("part.bundle", "trust.json"))
    later = now_s + 40 * 86_400
    refused = checker.check(bundle, trust, later)
    assert (refused["outcome"], refused["name"]) == ("refused", Step.CHECKPOINT.name)
    assert checker.check(bundle, trust, later, days=41, any=True)["outcome"] == "verified"


def test_a_step_that_was_not_tried_is_not_called_passed(checker: Checker, now_s: int) -> None:
    bundle, trust = ((VECTORS / name).read_bytes() for name in ("part.bundle", "trust.json"))
    assert checker.check(bundle, trust, now_s)["step"] == Step.STATUS + 1
    assert checker.check(bundle, trust, now_s, any=True)["step"] == Step.STATUS


def test_a_folder_with_other_files_is_not_deleted(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="has other files"):
        build_folder(tmp_path, memory=False)
    assert (tmp_path / "thesis.txt").exists()


def test_forgeries_are_refused_by_the_same_step_for_the_same_reason(
    checker: Checker, content: Content, tell: Tell
) -> None:
    tried, differing = compare_forgeries(checker, content, PER_STEP, seed=1)
    tell(f"{tried} forgeries refused in the page's Python as in the verifier's")
    assert not differing


def _lines(report: Report, language: str) -> list[str]:
    words = words_of(language)
    return [words.text(one) for one in report.statements]


def test_the_verifiers_tests_run_in_the_pages_python(unpacked: Path) -> None:
    """Some of those that `scripts/prove check-tests` runs."""
    some = [one for one in check_tests.FILES if one.endswith(("merkle.py", "rlp.py", "verify_abi.py"))]
    code, printed = check_tests.run_tests(unpacked, some)
    assert code == 0, printed
    [passed] = re.findall(r"^(\d+) passed", printed, re.MULTILINE)
    assert int(passed) > 50
