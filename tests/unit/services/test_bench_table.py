"""The table of scripts/bench: what counts as reached, what is named as missing, and what each row declares."""

from __future__ import annotations

import ast
import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.bench.table import __main__ as table
from tests.bench.table.report import build_json, build_lines, build_markdown, join_rows
from tests.bench.table.rows import ROWS, Bound, Figure, Goal, Row
from tests.bench.table.sides import Outcome, Timed, _read, compare

BENCH = Path(__file__).parents[3] / "tests" / "bench"
ROW = Row("hash", "hashes", "a peer", "hashing:measure", (Goal("cpu", "hash; a peer", Bound.TIMES, 3),), 10)


@pytest.mark.parametrize(
    ("bound", "reach", "figure", "reached"),
    [
        (Bound.TIMES, 3.0, Figure(1, "us", 3), True),
        (Bound.TIMES, 3.0, Figure(1, "us", 2.99), False),
        (Bound.SLOWER, 1.5, Figure(1.5, "us", 1), True),
        (Bound.SLOWER, 1.5, Figure(1.51, "us", 1), False),
        (Bound.OWN, 60.0, Figure(60, "ms", 1), True),
        (Bound.OWN, 60.0, Figure(60.1, "ms"), False),
        (Bound.LEAST, 35.0, Figure(34, "%"), False),
        (Bound.LEAST, 35.0, Figure(35, "%"), True),
        (Bound.SHOWN, 0.0, Figure(1, "us", 2), None),
        (Bound.TIMES, 3.0, Figure(1, "us"), None),
    ],
)  # fmt: skip
def test_a_reach_is_reached_on_its_own_side(bound: Bound, reach: float, figure: Figure, reached: bool | None) -> None:
    assert Goal("cpu", "", bound, reach).is_reached(figure) is reached


def test_a_comparison_has_medians_and_the_ratios_of_single_rounds() -> None:
    own = [Timed(1.0, 9.0, 2, None), Timed(2.0, 9.0, 2, None), Timed(3.0, 9.0, 2, None)]
    peer = [Timed(8.0, 9.0, 1, None), Timed(8.0, 9.0, 1, None), Timed(9.0, 9.0, 1, None)]
    found = compare(own, peer, 1.0, "s")
    assert (found.own, found.peer, found.times) == (1.0, 8.0, 8.0)
    assert (found.low, found.high) == (6.0, 16.0)
    assert compare(own, peer, 1.0, "s", "wall").own == 4.5


def test_what_failed_or_is_missing_is_named() -> None:
    outcomes = [
        Outcome(ROW, failure="the chain did not start"),
        Outcome(ROW, left_out={"": "no time left"}),
        Outcome(ROW, left_out={"cpu": "No module named 'pymerkle'"}),
        Outcome(ROW),
        Outcome(ROW, {"cpu": Figure(2.0, "us", 3.0, 1.4, 1.6)}),
    ]
    last = [line[-1] for line in build_lines(outcomes)]
    assert last == [
        "**failed**: the chain did not start",
        "left out: no time left",
        "left out: No module named 'pymerkle'",
        "left out: not measured",
        "**missed**",
    ]
    assert build_lines(outcomes[-1:])[0] == (
        "hash", "hash; a peer", "2 us", "3 us", "1.5", "1.4 to 1.6", "3", "**missed**",
    )  # fmt: skip


def test_the_page_and_its_json_hold_every_row() -> None:
    outcomes = [Outcome(ROW, {"cpu": Figure(1.0, "us", 4.0)}, notes=("on one core",)), Outcome(ROW, failure="a | b")]
    page = build_markdown(["hash"], build_json(outcomes, 0.5))
    assert "| hash | hash; a peer | 1 us | 4 us | 4 |" in page
    assert "a \\| b" in page
    assert "- hash: on one core" in page
    found = build_json(outcomes, 0.5)
    assert [row["failure"] for row in found] == ["", "a | b"]
    assert found[0]["goals"][0]["reached"] is True
    json.dumps(found, allow_nan=False)


def test_rows_that_were_not_measured_again_stay_with_their_date() -> None:
    [old] = build_json([Outcome(ROW, failure="once")], 1.0)
    [new] = build_json([Outcome(ROW, {"cpu": Figure(1.0, "us", 4.0)})], 0.0)
    other = {**new, "name": "other", "date": "2020-01-01"}
    rows, staying = join_rows([replace(ROW, name=name) for name in ("other", "hash", "gone")], [old, other], [new])
    assert ([row["name"] for row in rows], staying) == (["other", "hash"], {})
    page = build_markdown(["other", "hash", "gone"], rows)
    assert "- not measured yet: gone\n" in page
    assert "once" not in page
    assert "- 2020-01-01, " in page
    assert "before: other, in" in page


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome(ROW, failure="not done after 10 s"),
        Outcome(ROW, left_out={"": "no time left"}),
        Outcome(ROW, left_out={"cpu": "the peer is missing"}),
        Outcome(ROW),
    ],
)
def test_a_figure_stays_until_there_is_another_one(outcome: Outcome) -> None:
    [old] = build_json([Outcome(ROW, {"cpu": Figure(1.0, "us", 4.0)})], 0.0)
    old["date"] = "2020-01-01"
    rows, staying = join_rows([ROW], [old], build_json([outcome], 1.0))
    assert (rows, staying) == ([old], {"hash": "2020-01-01"})
    [line] = build_lines([outcome], staying)
    assert line[-1].endswith("; the figures of 2020-01-01 stay")
    unmeasured = {**old, "goals": []}
    new = build_json([outcome], 1.0)
    assert join_rows([ROW], [unmeasured], new) == (new, {})
    # A figure that is declared no more is not waited for.
    renamed = replace(ROW, goals=(replace(ROW.goals[0], figure="wall"),))
    assert join_rows([renamed], [old], new) == (new, {})


@pytest.mark.parametrize(
    ("figures", "code"), [({"cpu": Figure(1.0, "us", 4.0)}, 0), ({}, 1)], ids=["measured", "nothing measured"]
)
def test_a_run_that_measured_nothing_fails(
    figures: dict[str, Figure], code: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    row = ROWS[0]
    monkeypatch.setattr(table, "run_rows", lambda *_: [Outcome(row, figures, {} if figures else {"": "no peer"})])
    monkeypatch.setattr(table, "_FIGURES", tmp_path / "TABLE.json")
    monkeypatch.setattr(table, "_PAGE", tmp_path / "TABLE.md")
    [old] = build_json([Outcome(row, {row.goals[0].figure: Figure(1.0, "us", 4.0)})], 0.0)
    (tmp_path / "TABLE.json").write_text(json.dumps([{**old, "date": "2020-01-01"}]))
    assert table.main([row.name, "--write"]) == code
    assert json.loads((tmp_path / "TABLE.json").read_text())[0]["date"] == "2020-01-01"
    assert "the figures of 2020-01-01 stay" in " ".join(capsys.readouterr().out.split())


def test_the_end_of_a_measurement_is_read() -> None:
    assert _read(ROW, None, "", "", 10.0).failure == "not done after 10 s"
    assert _read(ROW, 1, "", "trace\nValueError: no\n", 1.0).failure == "ValueError: no"
    assert _read(ROW, -9, "", "", 1.0).failure == "exit code -9"
    out = {"figures": {"cpu": {"own": 1, "unit": "us", "peer": None, "low": None, "high": None}}}
    found = _read(ROW, 0, json.dumps({**out, "left_out": {}, "notes": ["so"]}), "", 1.0)
    assert (found.failure, found.figures["cpu"], found.notes) == ("", Figure(1, "us"), ("so",))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_names_a_measurement_that_is_there(row: Row) -> None:
    module, _, name = row.measure.partition(":")
    tree = ast.parse((BENCH / "table" / f"{module}.py").read_text())
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert len({goal.figure for goal in row.goals}) == len(row.goals) > 0
    assert row.budget_s <= 300


def test_rows_have_names_of_their_own() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("path", sorted((BENCH / "peers").glob("*.py")), ids=lambda path: path.stem)
def test_a_peer_imports_nothing_of_millmark(path: Path) -> None:
    """It runs in the peers' environment, which has none of Millmark's packages."""
    allowed = {"tests.bench.peers.answer", "tests.bench.peers.walks"}
    imported = {node.module or "" for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)}
    assert {one for one in imported if one.partition(".")[0] in ("ledger", "quality", "services", "tests")} <= allowed
