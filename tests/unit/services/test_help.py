"""Help is printed from texts, which are what the commands say."""

from __future__ import annotations

import pytest

from services.commands.help_writer import build_texts
from services.help import FOLDER, find_help, print_help


def test_the_texts_are_what_the_commands_say() -> None:
    kept = {path.name: path.read_text("utf-8") for path in FOLDER.glob("*.txt")}
    assert kept == build_texts(), "run scripts/generate_help"


@pytest.mark.parametrize("words", [["no-such"], ["orders", "no-such"], ["..", "x"], ["/etc/passwd"], ["trace", "x"]])
def test_what_has_no_text_is_left_to_the_commands(words: list[str]) -> None:
    assert find_help(words) is None
    assert not print_help([*words, "--help"])


def test_help_is_printed_only_where_nothing_else_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert not print_help(["trace"])
    assert not print_help(["--help", "trace"])
    assert not print_help(["node", "--config", "x", "status", "--help"])
    assert print_help(["--home", "x", "orders", "--help"])
    assert "Usage: millmark orders" in capsys.readouterr().out
    assert print_help([])
    assert "Usage: millmark [OPTIONS] COMMAND" in capsys.readouterr().out
