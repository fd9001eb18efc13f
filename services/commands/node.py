"""`millmark node`: the factory agent."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from millmark.ledger.canonical import to_hex
from millmark.ledger.errors import InputError, NotFoundError
from millmark.ledger.store import Book
from millmark.ledger.store.outbox import Outbox
from millmark.services.node.agent import DEAD_LETTERS, back_up, restore, run_node
from millmark.services.node.config import NodeConfig, read_config
from millmark.services.node.events import read_dead_letters
from millmark.services.node.submission import describe_outbox
from millmark.services.output import AsJson, print_json, print_lines, utc_text
from millmark.services.store import open_store
from millmark.services.text.outbox import queue_lines

_ASK_S = 5.0
_MAX_SHOWN = 200
"""Characters of a refused event that text output shows; `--json` prints all that is kept."""
_EXAMPLE = "Example: millmark node --config node.toml"


def register(app: typer.Typer) -> None:
    group = typer.Typer(invoke_without_command=True, epilog=_EXAMPLE)
    group.callback()(run)
    group.command("status", epilog="Example: millmark node --config node.toml status --json")(run_status)
    group.command("dead-letters", epilog="Example: millmark node --config node.toml dead-letters")(run_dead_letters)
    group.command("leaf", epilog="Example: millmark node --config node.toml leaf press-2026-118")(run_leaf)
    group.command("backup", epilog="Example: millmark node --config node.toml backup /mnt/backup/monday")(run_backup)
    group.command("restore", epilog="Example: millmark node --config node.toml restore /mnt/backup/monday")(run_restore)
    app.add_typer(group, name="node")


def run(
    context: typer.Context,
    config: Annotated[Path, typer.Option("--config", dir_okay=False, help="The node's configuration file (TOML).")],
) -> None:
    """Run the factory agent: capture machine data, store and inspect it, anchor it, and certify lots."""
    # Subcommands of other groups find the home folder in `obj`; those of the node find its configuration there.
    context.obj = read_config(config)
    if context.invoked_subcommand is None:
        run_node(context.obj)


def run_status(context: typer.Context, as_json: AsJson = False) -> None:
    """Show the node's streams, its connection to the chain, and which records are queued and why."""
    config: NodeConfig = context.obj
    found = _ask(config)
    if found is None:
        with open_store(config.database_url, config.evidence_folder) as store:
            found = {"status": "not running", "outbox": describe_outbox(Outbox(store))}
    if as_json:
        print_json(context, found)
        return
    print_lines(*_lines(found))


def run_dead_letters(
    context: typer.Context,
    most: Annotated[int, typer.Option(min=1, max=10_000, help="How many of the latest refusals to show.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List refused events with the reasons."""
    config: NodeConfig = context.obj
    found = read_dead_letters(config.data_folder / DEAD_LETTERS, most)
    if as_json:
        print_json(context, {"events": [letter.to_json() for letter in found]})
    elif not found:
        print_lines("nothing was refused")
    for one in () if as_json else found:
        where = " ".join(part for part in (one.source, one.stream, one.request_id) if part)
        at = utc_text(int(one.refused_at_s))
        print_lines(f"{at} {where}: {one.reason}: {one.cause}", f"    {one.event[:_MAX_SHOWN]}")


def run_leaf(
    context: typer.Context,
    event: Annotated[str, typer.Argument(help="The event's id, as its sender chose it.")],
    stream: Annotated[str, typer.Option(help="The stream's name; by default all are searched.")] = "",
    as_json: AsJson = False,
) -> None:
    """Show where an event is in the evidence: the leaf that the end of an assignment states, for instance."""
    config: NodeConfig = context.obj
    subjects = {one.name: bytes.fromhex(one.subject[2:]) for one in config.streams if stream in ("", one.name)}
    if not subjects:
        raise InputError(f"stream {stream[:80]!r} is not defined", hint="use a name from the configuration")
    with open_store(config.database_url, config.evidence_folder) as store, store.reading() as connection:
        book = Book(connection)
        places = {name: (subject, book.find_event(subject, event)) for name, subject in subjects.items()}
        found = {
            name: book.evidence_entry(subject, index) for name, (subject, index) in places.items() if index is not None
        }
    leaves = [(name, entry) for name, entry in found.items() if entry is not None]
    if not leaves:
        raise NotFoundError(f"no event {event[:80]!r} is in the node's database", hint="wait until it is anchored")
    if as_json:
        entries = [
            {"stream": name, "leaf_index": one.index, "leaf_hash": to_hex(one.leaf_hash)} for name, one in leaves
        ]
        print_json(context, {"entries": entries})
    for name, one in () if as_json else leaves:
        print_lines(f"stream {name}: leaf_index {one.index}, leaf_hash {to_hex(one.leaf_hash)}")


def run_backup(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(file_okay=False, help="A folder that does not exist yet.")],
) -> None:
    """Copy logs and database; the node may be running. Keys, passphrase and token are not copied."""
    back_up(context.obj, folder)
    print_lines(f"copied to {folder}; it contains everything that was measured, so protect it")


def run_restore(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="Folder with the backup.")],
) -> None:
    """Restore a backup into a data folder that does not exist yet, and check its logs."""
    for name, entries in restore(context.obj, folder).items():
        print_lines(f"stream {name}: {entries} entries")


def _ask(config: NodeConfig) -> dict[str, object] | None:
    """Status of the running node, over HTTP; None if it does not answer."""
    import httpx  # noqa: PLC0415 - keeps the node's own start short

    # trust_env=False: the node is on this machine, so no proxy from the environment may come between.
    host = f"[{config.http.host}]" if ":" in config.http.host else config.http.host
    try:
        answer = httpx.get(f"http://{host}:{config.http.port}/ready", timeout=_ASK_S, trust_env=False)
        found: dict[str, object] = answer.json()
    except (httpx.HTTPError, ValueError):
        return None
    return found


def _lines(found: dict[str, object]) -> list[str]:
    lines = [f"node {found['status']}"]
    streams, outbox = found.get("streams"), found["outbox"]
    troubles, alarms = found.get("troubles"), found.get("alarms")
    for stream in streams if isinstance(streams, list) else []:
        wrong = f"; {stream['failure']}" if stream["failure"] else ""
        waiting = f", {stream['queued']} with those being sent" if stream["queued"] != stream["anchored"] else ""
        counts = f"{stream['entries']} entries, {stream['anchored']} anchored on the ledger{waiting}"
        lines.append(f"stream {stream['name']}: {counts}{wrong}")
    if isinstance(chain := found.get("chain"), dict):
        lines += _chain_lines(bool(found["chain_connected"]), chain)
    for kind, found_ones in (("trouble", troubles), ("alarm", alarms)):
        for one in found_ones if isinstance(found_ones, list) else []:
            lines.append(f"{kind}: {one['where']}: {one['cause']}" + (f"; {one['hint']}" if one["hint"] else ""))
    return [*lines, *queue_lines(outbox["records"], outbox)] if isinstance(outbox, dict) and outbox else lines


def _chain_lines(connected: bool, chain: Mapping[str, object]) -> list[str]:
    lines = [f"chain {'answers' if connected else 'does not answer'}"]
    if chain["head_block"] is not None:
        lines.append(f"latest block {chain['head_block']}, seen {chain['head_age_s']} s ago")
    if chain["stalled_s"]:
        lines.append(f"the chain stalls: no block for {chain['stalled_s']} s although transactions are pending")
    return lines
