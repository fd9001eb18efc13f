"""Tables for people: no word is broken, however narrow the terminal is. JSON for programs: it says what it is."""

from __future__ import annotations

import json

import pytest
import typer
from typer.testing import CliRunner

from millmark.services.output import print_json, print_table

PART = "https://id.gs1.org/01/09506000013459/21/A0006R-of-the-second-batch"
COLUMNS = ["lot", "quantity", "holder", "note"]
ROWS = [
    [PART, 12345, "Nordwind Mobility", ""],
    ["W1", 1, "Cedar Assembly", "scratched on one side, see the photograph"],
]


def shown(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int, *, tty: bool) -> list[str]:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TTY_COMPATIBLE", str(int(tty)))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    print_table("lots", COLUMNS, ROWS)
    return [line.rstrip() for line in capsys.readouterr().out.splitlines()]


def test_where_no_person_looks_on_each_row_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = shown(capsys, monkeypatch, 40, tty=False)
    assert len(lines) == 5
    assert lines[3].split(" │ ")[:2] == [PART, "  12,345"]
    assert lines[4].endswith("scratched on one side, see the photograph")


def test_a_terminal_that_is_wide_enough_folds_at_spaces_only(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = shown(capsys, monkeypatch, len(PART) + 42, tty=True)
    assert max(map(len, lines)) <= len(PART) + 42
    words = {word for line in lines for word in line.replace("│", " ").split()}
    assert {PART, "photograph", "Nordwind", "Mobility"} <= words


def test_a_narrow_terminal_shows_a_list(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(capsys, monkeypatch, 60, tty=True) == [
        "lots",
        PART,
        "  quantity: 12,345",
        "  holder: Nordwind Mobility",
        "W1",
        "  quantity: 1",
        "  holder: Cedar Assembly",
        "  note: scratched on one side, see the photograph",
    ]


def test_json_begins_with_the_format_of_its_command_or_of_its_document() -> None:
    app, group = typer.Typer(), typer.Typer()
    app.add_typer(group, name="lots")
    app.callback()(lambda: None)

    @group.command("list")
    def run(context: typer.Context, own: str = "") -> None:
        print_json(context, {"lots": []} | ({"format": own} if own else {}))

    group.command("other")(lambda: None)
    for asked, expected in (([], "millmark.lots.list/1"), (["--own", "millmark-directory"], "millmark-directory")):
        for name in ("millmark", "python -m millmark.services.cli"):
            told = json.loads(CliRunner().invoke(app, ["lots", "list", *asked], prog_name=name).stdout)
            assert list(told.items()) == [("format", expected), ("lots", [])]
