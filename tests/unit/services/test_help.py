"""Help is printed from texts, which are what the commands say."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib import resources

import pytest

from millmark.ledger.plans.check import FORMAT as CHECKED
from millmark.ledger.verify.files import FORMAT as VERIFIED
from millmark.ledger.verify.statements import LANGUAGES
from millmark.services.commands.help_writer import build_formats, build_texts
from millmark.services.help import FOLDER, FORMATS, find_help, print_help

_CATALOGUES = resources.files("millmark.services.portal") / "catalogue"
_COMMAND = re.compile("`(millmark [^`]*)`")


def test_the_texts_are_what_the_commands_say() -> None:
    kept = {path.name: path.read_text("utf-8") for path in FOLDER.glob("*.txt")}
    assert kept == build_texts(), "run scripts/generate_help"


def test_the_page_of_formats_has_every_command_that_prints_json() -> None:
    page = FORMATS.read_text("utf-8")
    assert page == build_formats(), "run scripts/generate_help"
    listed = dict(re.findall(r"^\| `millmark ([^`]+)` \| `([^`]+)` \|$", page, re.MULTILINE))
    texts = {words for name in FOLDER.glob("*.txt") for words in _with_json(name.read_text("utf-8"))}
    assert listed.keys() == texts
    assert all(name == f"millmark.{words.replace(' ', '.')}/{name[-1]}" for words, name in listed.items())
    # The verifier and the check of a plan also run without the services, and name their formats themselves.
    assert (listed["verify"], listed["plan check"]) == (VERIFIED, CHECKED)


def _with_json(content: str) -> Iterator[str]:
    for text in content.split("======== ")[1:]:
        words, _, shown = text.partition("\n")
        if re.search(r"^│[ *]+--json ", shown, re.MULTILINE):
            yield words


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


def test_pages_name_the_same_commands_in_each_language_and_all_exist() -> None:
    english, *others = (
        {key: sorted(_COMMAND.findall(text)) for key, text in json.loads(path.read_text("utf-8")).items()}
        for path in (_CATALOGUES / f"{one}.json" for one in LANGUAGES)
    )
    assert others == [english] * len(others)
    named = {command for commands in english.values() for command in commands}
    assert named
    for command in named:
        words = [word for word in command.split()[1:] if not word.startswith("-")]
        assert find_help(words) is not None, command
