"""What the README says is so: commands, settings, folders, files."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer

import ledger
from services.cli import app
from services.settings import Settings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def _commands() -> dict[str, Any]:
    tree: Any = typer.main.get_command(app)
    return dict(tree.commands)


def test_the_first_two_commands_are_demo_and_test() -> None:
    shown = re.findall(r"^    (scripts/\w+) ", README, re.MULTILINE)
    assert shown[:2] == ["scripts/demo", "scripts/test"]
    assert all((ROOT / script).stat().st_mode & 0o100 for script in shown)


def test_every_command_is_in_the_readme_and_every_one_there_exists() -> None:
    shown = set(re.findall(r"^    millmark ([\w-]+)", README, re.MULTILINE))
    assert shown == set(_commands())


def test_every_setting_is_in_the_readme_and_every_one_there_exists() -> None:
    table = README.split("## Settings")[1].split("## ")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    shown = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert shown == set(Settings.model_fields)


def test_every_link_leads_to_a_file() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_map_names_every_folder() -> None:
    shown = set(re.findall(r"^    (\w+)/  ", README.split("## Where things are")[1], re.MULTILINE))
    there = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")}
    assert shown == {name for name in there if (ROOT / name).is_dir()} - {"build", "millmark.egg-info", "millmark-demo"}


def test_python_in_the_readme_names_what_the_library_exports() -> None:
    [line] = re.findall(r"`from ledger import ([^`]+)`", README)
    assert {name.strip() for name in line.split(",")} <= set(ledger.__all__)


@pytest.mark.parametrize("name", sorted(_commands()))
def test_every_command_has_help_with_an_example(name: str) -> None:
    command = _commands()[name]
    for leaf in getattr(command, "commands", {name: command}).values():
        assert leaf.help, leaf.name
        assert "Example: millmark" in (leaf.epilog or ""), leaf.name


def test_the_shown_run_is_one_of_this_program() -> None:
    shown = README.split("<!-- demo -->")[1].split("<!-- /demo -->")[0].strip().strip("`").strip().splitlines()
    assert shown[0].endswith("orders delivered; the others wait in quarantine")
    assert any(line.startswith("model: accuracy 0.") for line in shown)
    assert any(line.endswith("in the index: equal") for line in shown)
    onward = shown[shown.index("next, as anyone who scans the code on the part:") :]
    called = [re.findall(r"millmark(?: --home \S+)? (\w+)", line) for line in onward if line.startswith("  ")]
    assert [name for names in called for name in names] == ["gateway", "verify", "trace", "recall"]
