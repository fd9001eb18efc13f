"""The command line starts with what it needs, and no more."""

from __future__ import annotations

import importlib
import subprocess
import sys

import typer

from services.cli import COMMANDS, build_app

HEAVY = ["alembic", "eth_account", "eth_tester", "fastapi", "httpx", "numpy", "paho", "requests", "torch", "web3"]
HEAVY += ["services.gateway", "services.lab"]


def test_each_module_registers_the_commands_it_is_said_to() -> None:
    for module, names in COMMANDS.items():
        app = typer.Typer()
        importlib.import_module(module).register(app)
        commands = [command.name for command in app.registered_commands]
        found = sorted([*map(str, commands), *(str(group.name) for group in app.registered_groups)])
        assert found == sorted(names), module


def test_all_commands_are_there_for_who_asks() -> None:
    whole = build_app()
    found = {str(one.name) for one in whole.registered_commands} | {str(one.name) for one in whole.registered_groups}
    assert found == {name for names in COMMANDS.values() for name in names}


def test_a_node_starts_without_what_it_does_not_use() -> None:
    code = f"""
import sys
sys.argv = ["millmark", "node", "--config", "/nonexistent"]
from services.cli import main
try:
    main()
except SystemExit as end:
    print(end.code, sorted(set({HEAVY!r}) & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "2 []"
    assert done.stderr == "millmark: /nonexistent cannot be read: No such file or directory; " + (
        "name the node's configuration\n"
    )
