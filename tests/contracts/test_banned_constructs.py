"""Constructs that the contracts may not use, except where the reason is written down here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

SOURCES = Path(__file__).resolve().parents[2] / "contracts" / "src"

BANNED = {
    "msg.sender": re.compile(r"\bmsg\s*\.\s*sender\b"),  # wrong behind a forwarder: _msgSender() is who acts
    "msg.data": re.compile(r"\bmsg\s*\.\s*data\b"),  # carries the forwarder's suffix: _msgData()
    "tx.origin": re.compile(r"\btx\s*\.\s*origin\b"),  # lets any contract on the way act for the signer
    "selfdestruct": re.compile(r"\bselfdestruct\b"),  # history must outlive every participant
    "delegatecall": re.compile(r"\bdelegatecall\b"),  # foreign code on our storage
    "unchecked": re.compile(r"\bunchecked\s*\{"),  # quantities must not wrap
    "assembly": re.compile(r"\bassembly\b"),  # readable only where it earns its place
}

ALLOWED = {
    (
        "assembly",
        "history/History.sol",
    ): "log4 and the head's two hashes: 350 gas less a record; the replay has them anew",
    ("assembly", "ModelCode.sol"): "one return: nothing else says what code a constructor leaves behind",
    ("assembly", "libraries/Network.sol"): "32 weights at a time; fuzzed against a reference without it",
    ("assembly", "TraceLedger.sol"): "the fallback hands call data and answer on as they are: 2,300 gas less a record",
    ("unchecked", "history/History.sol"): "one more than a number below 2^40, in a word of 256 bits",
    ("delegatecall", "TraceLedger.sol"): "to the two operations contracts alone: never changed, of one storage",
}


def without_comments_and_strings(source: str) -> str:
    return re.sub(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', " ", source, flags=re.DOTALL)


def find_banned(source: str) -> set[str]:
    code = without_comments_and_strings(source)
    return {name for name, pattern in BANNED.items() if pattern.search(code)}


def test_sources_use_no_banned_construct() -> None:
    paths = sorted(SOURCES.rglob("*.sol"))
    assert paths
    used = {(name, str(path.relative_to(SOURCES))) for path in paths for name in find_banned(path.read_text())}
    assert used - set(ALLOWED) == set()
    assert set(ALLOWED) - used == set(), "exceptions that nothing uses any more"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("if (msg.sender != owner) revert();", {"msg.sender"}),
        ("msg . sender", {"msg.sender"}),
        ('string s = "//"; address a = tx.origin;', {"tx.origin"}),
        ('assembly ("memory-safe") {}', {"assembly"}),
        ("unchecked { ++i; }", {"unchecked"}),
        ("// msg.sender\n/* tx.origin\n assembly */ /// unchecked {", set()),
        ('"msg.sender"', set()),
        ("myassembly; msg_sender; _msgSender()", set()),
    ],
)
def test_finder_sees_code_and_only_code(source: str, expected: set[str]) -> None:
    assert find_banned(source) == expected
