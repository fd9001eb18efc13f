"""The command line starts with what it needs, and no more."""

from __future__ import annotations

import importlib

import typer

from millmark.services.cli import COMMANDS, build_app


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
