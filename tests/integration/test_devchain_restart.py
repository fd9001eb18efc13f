"""`millmark devchain --journal` as a process: killed and started again, it is the same chain."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from millmark.ledger.chain import HttpTransport, Node
from tests.support.patience import MAX_S

pytestmark = pytest.mark.integration
ADDRESS = b"\x11" * 20


@contextmanager
def devchain(journal: Path, report: Path) -> Iterator[Node]:
    """Ends by SIGKILL."""
    command = [sys.executable, "-m", "millmark.services.cli", "devchain", "--port", "0", "--journal", str(journal)]
    with report.open("w") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            yield Node(HttpTransport(listening(process, report)))
        finally:
            process.kill()


def listening(process: subprocess.Popen[bytes], report: Path) -> str:
    deadline = time.monotonic() + MAX_S
    while process.poll() is None and time.monotonic() < deadline:
        if found := re.search(r"http://127\.0\.0\.1:\d+", report.read_text()):
            return found[0]
        time.sleep(0.05)
    raise AssertionError(report.read_text())


def test_a_killed_devchain_starts_again_with_the_same_head(tmp_path: Path) -> None:
    journal, report = tmp_path / "chain.journal", tmp_path / "report.txt"
    with devchain(journal, report) as node:
        for number in range(1, 4):
            node.fund(ADDRESS, number)
        before = node.header()
    assert before.number == 3
    with devchain(journal, report) as node:
        assert node.header() == before
        assert node.balance_wei(ADDRESS) == 3
        node.fund(ADDRESS, 4)
        assert node.header().parent_hash == before.hash


def test_a_damaged_journal_is_said_in_one_line(tmp_path: Path) -> None:
    journal, report = tmp_path / "chain.journal", tmp_path / "report.txt"
    with devchain(journal, report) as node:
        node.fund(ADDRESS, 1)
        good = node.header()
        node.fund(ADDRESS, 2)
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([*lines[:2], lines[2].replace(b"anvil", b"Anvil")]))
    command = [sys.executable, "-m", "millmark.services.cli", "devchain", "--port", "0", "--journal", str(journal)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"is damaged in line 3; the last good block is 1 0x{good.hash.hex()}" in done.stderr
