"""`millmark node`: the factory agent."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from ledger.store import open_store
from ledger.store.outbox import Outbox
from services.commands.options import AsJson
from services.node.agent import DEAD_LETTERS
from services.node.backup import back_up, restore
from services.node.config import NodeConfig, read_config
from services.node.dead_letters import read_dead_letters
from services.node.health import describe_outbox
from services.node.serving import run_node
from services.output import print_json, print_lines, print_table

__all__ = ["register"]

_ASK_S = 5.0
_EXAMPLE = "Example: millmark node --config node.toml"


def register(app: typer.Typer) -> None:
    group = typer.Typer(invoke_without_command=True, epilog=_EXAMPLE)
    group.callback()(run)
    group.command("status", epilog="Example: millmark node --config node.toml status --json")(run_status)
    group.command("dead-letters", epilog="Example: millmark node --config node.toml dead-letters")(run_dead_letters)
    group.command("backup", epilog="Example: millmark node --config node.toml backup /mnt/backup/monday")(run_backup)
    group.command("restore", epilog="Example: millmark node --config node.toml restore /mnt/backup/monday")(run_restore)
    app.add_typer(group, name="node")


def run(
    context: typer.Context,
    config: Annotated[Path, typer.Option("--config", dir_okay=False, help="The node's TOML file.")],
) -> None:
    """Run the factory agent: take machine data in, keep it, inspect it, anchor and certify it."""
    context.obj = read_config(config)
    if context.invoked_subcommand is None:
        run_node(context.obj)


def run_status(context: typer.Context, as_json: AsJson = False) -> None:
    """Show what the node takes in, what waits to get onto the ledger, and why."""
    config: NodeConfig = context.obj
    found = _ask(config)
    if found is None:
        with open_store(config.database_url) as store:
            found = {"status": "not running", "outbox": describe_outbox(Outbox(store))}
    if as_json:
        print_json(found)
        return
    print_lines(*_lines(found))


def run_dead_letters(
    context: typer.Context,
    most: Annotated[int, typer.Option(min=1, max=10_000, help="Refusals to show, the latest.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List events that were refused, and why."""
    config: NodeConfig = context.obj
    found = read_dead_letters(config.data_folder / DEAD_LETTERS, most)
    if as_json:
        print_json([letter.to_json() for letter in found])
    elif not found:
        print_lines("nothing was refused")
    else:
        rows = [[_time(one.refused_at_s), one.source, one.reason, one.cause, one.event[:80]] for one in found]
        print_table("refused", ["at", "source", "reason", "cause", "event"], rows)


def run_backup(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(file_okay=False, help="A folder that does not exist yet.")],
) -> None:
    """Copy logs and database, while the node runs or not. Keys, passphrase and token are not copied."""
    back_up(context.obj, folder)
    print_lines(f"copied to {folder}; who reads it knows all that was measured")


def run_restore(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="A backup.")],
) -> None:
    """Bring a backup into a data folder that does not exist yet, and check its logs."""
    for name, entries in restore(context.obj, folder).items():
        print_lines(f"stream {name}: {entries} entries")


def _ask(config: NodeConfig) -> dict[str, object] | None:
    """What the running node says; None when none answers."""
    import httpx  # noqa: PLC0415 - the node itself need not wait for it

    host = f"[{config.http.host}]" if ":" in config.http.host else config.http.host
    try:
        answer = httpx.get(f"http://{host}:{config.http.port}/ready", timeout=_ASK_S, trust_env=False)
        found: dict[str, object] = answer.json()
    except (httpx.HTTPError, ValueError):
        return None
    return found


def _lines(found: dict[str, object]) -> list[str]:
    lines = [f"node {found['status']}"]
    streams, troubles, outbox = found.get("streams"), found.get("troubles"), found["outbox"]
    for stream in streams if isinstance(streams, list) else []:
        wrong = f"; {stream['failure']}" if stream["failure"] else ""
        lines.append(f"stream {stream['name']}: {stream['entries']} entries, {stream['anchored']} anchored{wrong}")
    if "chain_connected" in found:
        lines.append(f"chain {'answers' if found['chain_connected'] else 'does not answer'}")
    lines += [f"{one['where']}: {one['cause']}" for one in (troubles if isinstance(troubles, list) else [])]
    if isinstance(outbox, dict):
        lines += [f"{count} records {state}" for state, count in sorted(outbox["records"].items())]
        oldest = outbox["oldest_waiting"]
        lines.append(
            f"oldest waiting: {oldest['key']}, for {oldest['age_s']} s: {oldest['why']}" if oldest else "nothing waits"
        )
    return lines


def _time(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
