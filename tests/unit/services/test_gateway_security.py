"""The table of SECURITY.md: every row is there, and every test that it names."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
TABLE = (ROOT / "services" / "gateway" / "SECURITY.md").read_text()


def test_every_row_names_tests_that_there_are() -> None:
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    known = set(re.findall(r"^(?:async )?def (test_\w+)\(", tests, re.MULTILINE))
    rows = [line for line in TABLE.splitlines() if line.startswith("| API")]
    assert [row.split()[1] for row in rows] == [f"API{number}" for number in range(1, 11)]
    for row in rows:
        named = set(re.findall(r"`(test_\w+)`", row))
        assert len(named) >= 3, row
        assert named <= known, named - known
