"""Help is printed from texts, which are what the commands say, and without importing what commands work with."""

from __future__ import annotations

import subprocess
import sys

import pytest

from services.commands.help_writer import build_texts
from services.help import FOLDER, find_help, print_help

HEAVY = {
    "cryptography",
    "eth_abi",
    "fastapi",
    "httpx",
    "ledger.chain",
    "ledger.store",
    "pydantic",
    "rich",
    "services.cli",
    "sqlalchemy",
    "typer",
}


def test_the_texts_are_what_the_commands_say() -> None:
    kept = {path.name: path.read_text("utf-8") for path in FOLDER.glob("*.txt")}
    assert kept == build_texts(), "run scripts/generate_help"


def test_no_help_imports_what_a_command_works_with() -> None:
    """Each command's help in one fresh process: time is not measured, what is imported is."""
    script = (
        "import sys\n"
        "from services.help import FOLDER\n"
        "from services.entry import main\n"
        "titles = [line[9:] for path in FOLDER.glob('*.txt') for line in path.open() if line.startswith('======== ')]\n"
        "for title in titles:\n"
        "    sys.argv = ['millmark', *title.split(), '--help']\n"
        "    main()\n"
        "print(len(titles), file=sys.stderr)\n"
        f"print(*sorted({HEAVY!r} & set(sys.modules)), file=sys.stderr)\n"
        "print(len(sys.modules), file=sys.stderr)\n"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    count, heavy, modules = ran.stderr.splitlines()
    assert int(count) > 130
    assert heavy == ""
    assert int(modules) < 200
    assert "Usage: millmark orders place" in ran.stdout


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
