"""What is said of a database of vulnerabilities that was not reached, or does not know a package: not "none"."""

from __future__ import annotations

import json

import pytest

from tests.proofs.advisories import judge_npm, judge_pip

KNOWN = {"name": "left", "version": "1", "vulns": []}


@pytest.mark.parametrize(
    ("packages", "expected"),
    [
        ([KNOWN, KNOWN], (0, "none in 2 packages")),
        ([KNOWN, {**KNOWN, "vulns": [{"id": "GHSA-1"}]}], (1, "left 1: GHSA-1")),
        ([KNOWN, {"name": "own", "skip_reason": "unknown"}], (3, "1 of 2 packages are not in the database")),
        (
            [{**KNOWN, "vulns": [{"id": "GHSA-1"}]}, {"name": "own", "skip_reason": "unknown"}],
            (1, "left 1: GHSA-1"),
        ),
    ],
)
def test_what_pip_audit_found(packages: list[object], expected: tuple[int, str]) -> None:
    assert judge_pip(json.dumps({"dependencies": packages})) == expected


@pytest.mark.parametrize("output", ["", "null", "[]", '{"dependencies": null}', '{"error": {}}'])
def test_no_answer_is_not_none(output: str) -> None:
    assert judge_pip(output) == (3, "the database was not reached")
    assert judge_npm(output) == (3, "the database was not reached")


def test_what_npm_found() -> None:
    assert judge_npm('{"vulnerabilities": {}}') == (0, "none")
    assert judge_npm('{"vulnerabilities": {"b": {}, "a": {}}}') == (1, "a; b")
