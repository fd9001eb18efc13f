"""What the README and the pages that it leads to say is so: commands, settings, folders, files, in both languages."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer

from millmark import ledger
from millmark.services.cli import app
from millmark.services.settings import Settings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
SETTINGS = (ROOT / "services" / "SETTINGS.md").read_text()
COMMANDS = (ROOT / "services" / "COMMANDS.md").read_text()
RUN = (ROOT / "services" / "demo" / "RUN.md").read_text()
DEVELOPMENT = (ROOT / "scripts" / "DEVELOPMENT.md").read_text()
PAGES = sorted(
    path
    for folder in (".", "ledger", "quality", "scripts", "services", "tests")
    for path in (ROOT.glob("*.md") if folder == "." else (ROOT / folder).rglob("*.md"))
    if "node_modules" not in path.parts
)


def _commands() -> dict[str, Any]:
    tree: Any = typer.main.get_command(app)
    return dict(tree.commands)


def _links(text: str) -> list[str]:
    return re.findall(r"\]\(([^)#]+)\)", text)


def test_the_first_screen_has_a_picture_a_clone_and_three_commands() -> None:
    first = README.split("\n## ")[0]
    shown = re.findall(r"^    (\S+ ?\S*)", first, re.MULTILINE)
    assert [command.split()[0] for command in shown] == ["git", "scripts/demo", "scripts/demo", "scripts/test"]
    assert len(re.findall(r"!\[[^]]+\]\([^)]+\.svg\)", first)) == 1
    assert len(re.findall(r"!\[[^]]+\]\([^)]+\.webp\)", first)) == 3
    assert len(first.splitlines()) <= 30


@pytest.mark.parametrize("page", [README, DEVELOPMENT], ids=["readme", "development"])
def test_every_script_that_a_page_names_can_be_executed(page: str) -> None:
    shown = re.findall(r"^    (scripts/\w+)", page, re.MULTILINE)
    assert shown
    assert all((ROOT / script).stat().st_mode & 0o100 for script in shown)


@pytest.mark.parametrize("page", sorted(ROOT.glob("README.*.md")), ids=lambda page: page.name)
def test_each_language_has_the_same_headings_commands_pictures_and_links(page: Path) -> None:
    def shape(text: str) -> tuple[list[str], list[str], list[str], list[int]]:
        headings = re.findall(r"^(#+) ", text, re.MULTILINE)
        commands = re.findall(r"^    (git .*|\S+/?\w*)", text, re.MULTILINE)
        links = [re.sub(r"\.\w\w\.", ".", link) for link in _links(text)]
        tables = [len(line.split("|")) for line in text.splitlines() if line.startswith("|")]
        return headings, commands, links, tables

    other = page.read_text()
    assert shape(README) == shape(other)
    assert re.findall(r"```.*?```", README, re.DOTALL) == re.findall(r"```.*?```", other, re.DOTALL)


def test_every_command_is_on_its_page_and_every_one_there_exists() -> None:
    shown = set(re.findall(r"^    millmark ([\w-]+)", COMMANDS, re.MULTILINE))
    assert shown == set(_commands())


def test_every_setting_is_on_its_page_and_every_one_there_exists() -> None:
    rows = [line.split("|")[1] for line in SETTINGS.splitlines() if line.startswith("| `")]
    shown = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert shown == set(Settings.model_fields)


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_every_link_of_every_page_leads_to_a_file(page: Path) -> None:
    for target in _links(page.read_text()):
        if not re.match(r"https?:|/", target):
            assert (page.parent / target).exists(), target


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached:
            continue
        reached.add(page)
        waiting += [
            (page.parent / link).resolve()
            for link in _links(page.read_text())
            if link.endswith(".md") and ":" not in link
        ]
    assert {str(page.relative_to(ROOT)) for page in PAGES} - {str(page.relative_to(ROOT)) for page in reached} == set()


def test_the_map_names_every_folder() -> None:
    shown = set(re.findall(r"^    (\w+)/  ", README.split("## Where things are")[1], re.MULTILINE))
    there = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")}
    assert shown == {name for name in there if (ROOT / name).is_dir()} - {
        "build",
        "dist",
        "millmark.egg-info",
        "millmark-demo",
    }


def test_python_on_the_page_of_commands_names_what_the_library_exports() -> None:
    [line] = re.findall(r"`from millmark.ledger import ([^`]+)`", COMMANDS)
    assert {name.strip() for name in line.split(",")} <= set(ledger.__all__)


@pytest.mark.parametrize("name", sorted(_commands()))
def test_every_command_has_help_with_an_example(name: str) -> None:
    waiting = [_commands()[name]]
    while waiting:
        leaf = waiting.pop()
        if hasattr(leaf, "commands"):  # a group, which may have groups
            waiting += leaf.commands.values()
            continue
        assert leaf.help, leaf.name
        assert "Example: millmark" in (leaf.epilog or ""), leaf.name


def test_the_shown_run_is_one_of_this_program() -> None:
    shown = RUN.split("<!-- demo -->")[1].split("<!-- /demo -->")[0].strip().strip("`").strip().splitlines()
    assert shown[0].endswith("orders delivered; the others are quarantined")
    assert any(line.startswith("model: accuracy 0.") for line in shown)
    assert any(line.endswith("in the index: equal") for line in shown)
    onward = shown[shown.index("from the command line, as a company:") :]
    called = [re.findall(r"millmark(?: --home \S+)? (\w+)", line) for line in onward if line.startswith("  ")]
    commands = " ".join(name for names in called for name in names)
    assert commands == "trace recall demo verify"
