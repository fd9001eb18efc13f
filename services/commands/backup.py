"""`millmark backup` and `millmark restore`: a gateway's home."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from millmark.services.backup import back_up_home, restore_home
from millmark.services.commands.audit import audited
from millmark.services.output import print_lines
from millmark.services.settings import read_settings


def register(app: typer.Typer) -> None:
    app.command("backup", epilog="Example: millmark backup /mnt/backup/monday")(run_backup)
    app.command("restore", epilog="Example: millmark --home restored restore /mnt/backup/monday")(run_restore)


def run_backup(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(file_okay=False, help="A folder that does not exist yet.")],
    without_database: Annotated[
        bool, typer.Option("--without-database", help="Leave the database out; it was saved with its own tools.")
    ] = False,
) -> None:
    """Copy the home: settings, deployment file, database and audit log. The gateway may be running. Keys are not
    copied; the command names them."""
    settings = read_settings(context.obj)
    with audited(settings, "backup", str(folder)):
        left = back_up_home(settings, folder, without_database=without_database)
    print_lines(f"copied to {folder}; it has all names, so protect it")
    if left:
        print_lines("not copied; keep them in a backup of their own:", *(f"    {path}" for path in left))


def run_restore(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="Folder with the backup.")],
) -> None:
    """Restore a backup into a home that has none of its files. Its settings name the places, as in the old home."""
    found = restore_home(folder, context.obj, read_settings)
    made_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(found.made_at))
    print_lines(f"restored {found.files} parts of the backup of {made_at} into {context.obj}")
    if found.missing:
        print_lines("put these in place from a backup of their own:")
        print_lines(*(f"    {path}: {what}" for path, what in found.missing.items()))
    print_lines("the gateway compares its outbox with the ledger when it starts, and says how to go on if it is older")
