"""What commands print for people: colours only where they are wanted, identifiers that can be copied, groups, version,
completion."""

from __future__ import annotations

import importlib
import io
import sys
from collections.abc import Callable
from importlib.metadata import version

import pytest

from millmark.ledger.terminal import is_coloured, paint
from millmark.services import cli, entry
from millmark.services.cli import COMMANDS, COMPLETING, PANELS
from millmark.services.help import find_help
from millmark.services.text.shortening import shorten

GREEN, RED, PLAIN = "\x1b[32m", "\x1b[31m", "\x1b[39m"
LOT = "https://id.gs1.org/01/09506000134352/21/"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "TERM", COMPLETING):
        monkeypatch.delenv(name, raising=False)


def test_colours_are_for_terminals_that_want_them(monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_coloured(Terminal())
    assert not is_coloured(io.StringIO())
    assert not is_coloured(None)
    closed = Terminal()
    closed.close()
    monkeypatch.setenv("TERM", "dumb")
    assert not is_coloured(Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    assert not is_coloured(Terminal())


@pytest.mark.parametrize(
    ("text", "painted"),
    [
        ("certificate 7: pass (valid)", f"certificate 7: {GREEN}pass{PLAIN} ({GREEN}valid{PLAIN})"),
        ("certificate 7: fail (in force)", f"certificate 7: {RED}fail{PLAIN} (in force)"),
        ("FAILED", f"{RED}FAILED{PLAIN}"),
        ("not proved: that sensors are honest", "not proved: that sensors are honest"),
        ("no longer valid", "no longer valid"),
        ("lot pass-7, https://x/fail, fail.json, a/pass", "lot pass-7, https://x/fail, fail.json, a/pass"),
        ("passenger, unfailing", "passenger, unfailing"),
    ],
)
def test_words_that_say_how_things_stand_are_coloured_and_names_are_not(text: str, painted: str) -> None:
    assert paint(text) == painted


def test_identifiers_are_shortened_where_that_names_one_thing() -> None:
    lines = [
        f"{LOT}A1",
        f"  made from {LOT}B2, urn:x-1:HEAT1",
        f"  order urn:x-2:HEAT1: open; {LOT}A%31",
        "  (did:web:a)",
    ]
    assert shorten(lines) == [
        f"{LOT}A1",
        "  made from B2, urn:x-1:HEAT1",
        f"  order urn:x-2:HEAT1: open; {LOT}A%31",
        "  (a)",
    ]
    assert shorten([]) == []


def test_every_command_is_in_one_panel_of_the_help() -> None:
    names = [name for commands in PANELS.values() for name in commands]
    assert len(names) == len(set(names))
    assert sorted(names) == sorted(name for found in COMMANDS.values() for name in found)
    text = find_help([])
    assert text is not None
    places = [text.index(f"─ {panel} ─") for panel in PANELS]
    assert places == sorted(places)


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[[str], list[str]]:
    """Completes a line as bash would have it done."""

    def complete(line: str) -> list[str]:
        words = line.split(" ")
        monkeypatch.setenv(COMPLETING, "complete_bash")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
        monkeypatch.setattr(sys, "argv", ["millmark"])
        with pytest.raises(SystemExit):
            entry.main()
        return capsys.readouterr().out.split()

    return complete


def test_the_shell_completes_commands_and_options(shell: Callable[[str], list[str]]) -> None:
    assert shell("millmark lot") == ["lots"]
    assert {"trace", "trust"} <= set(shell("millmark tr"))
    assert "--direction" in shell("millmark trace --d")
    assert shell("millmark custody off") == ["offer"]
    assert shell("millmark --home x lot") == ["lots"]


def test_completing_a_command_loads_no_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(COMPLETING, "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "millmark tra")
    monkeypatch.setattr(importlib, "import_module", lambda name: pytest.fail(f"loads {name}"))
    assert len(cli._completing_app().registered_commands) == len(cli._PANEL_OF)


def test_the_version_is_printed_without_a_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib, "import_module", lambda name: pytest.fail(f"loads {name}"))
    monkeypatch.setattr(sys, "argv", ["millmark", "--version"])
    with pytest.raises(SystemExit) as ended:
        entry.main()
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"millmark {version('millmark')}\n"
