"""The table of findings names tests that exist, and every finding that a test is named after is in it."""

from __future__ import annotations

import functools
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "contracts" / "FINDINGS.md"
VERIFIER = ROOT / "ledger" / "verify" / "FINDINGS.md"
CODE = r"(?:[HMLRNKG]\d{1,2})"


@functools.cache
def written_tests() -> set[str]:
    sources = [*(ROOT / "contracts" / "test").rglob("*.sol"), *(ROOT / "tests").rglob("test_*.py")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    return set(re.findall(r"(?:function|def) (test_\w+)\(", text))


def rows(table: Path = TABLE, code: str = CODE) -> dict[str, str]:
    """The rest of each row, by its code; a row may be about several."""
    found = re.findall(rf"^\| ({code}(?:, {code})*) \|(.*)$", table.read_text(encoding="utf-8"), re.MULTILINE)
    return {code: rest for codes, rest in found for code in codes.split(", ")}


def test_every_test_that_the_table_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", TABLE.read_text(encoding="utf-8")))
    assert len(named) > 50
    assert named <= written_tests()


def test_every_finding_has_a_row_and_a_high_or_medium_one_a_test_or_the_word_open() -> None:
    table = rows()
    expected = [f"H{n}" for n in range(1, 13)] + [f"M{n}" for n in range(1, 16)] + [f"L{n}" for n in range(1, 12)]
    assert not set(expected) - table.keys()
    for code in expected[:27]:
        assert ("`test_" in table[code]) != ("**open**" in table[code]), code


def test_every_finding_that_a_test_is_named_after_is_in_the_table() -> None:
    named = {code.upper() for code in re.findall(rf"\btest_({CODE})_", "\n".join(written_tests()), re.IGNORECASE)}
    assert named <= rows().keys()


def test_every_finding_about_the_verifier_has_a_test_of_its_name() -> None:
    table = rows(VERIFIER, r"V(?:\d{1,2}|A)")
    assert table.keys() == {*(f"V{number}" for number in range(1, 19)), "VA"}
    for code, rest in table.items():
        named = set(re.findall(r"`(test_\w+)`", rest))
        assert any(one.startswith(f"test_{code.lower()}_") for one in named), code
        assert named <= written_tests(), code
    tests = {
        one.partition("_")[2].partition("_")[0].upper() for one in written_tests() if re.match(r"test_v(\d+|a)_", one)
    }
    assert tests <= table.keys()
