"""`millmark audit`: verify and read the log of requests and decisions."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, cast

import typer

from millmark.ledger.canonical import Json
from millmark.ledger.errors import InputError, MillmarkError
from millmark.ledger.records import Contract
from millmark.ledger.store import Book
from millmark.services.audit import Access, AnchoredHeads, AuditLog, open_heads, read_audit, verify_audit
from millmark.services.commands.context import open_context
from millmark.services.output import AsJson, print_json, print_lines, print_table
from millmark.services.settings import Settings, read_settings

_DONE, _FAILED = 200, 409
"""HTTP statuses, so that commands and requests are logged with the same decisions."""


def register(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, help="Verify and read the log of requests and decisions.")
    group.command("verify", epilog="Example: millmark audit verify --head 0x5e... --json")(run_verify)
    group.command("show", epilog="Example: millmark audit show --target 5d0f2c6e --last 20")(run_show)
    app.add_typer(group, name="audit")


def run_verify(
    context: typer.Context,
    head: Annotated[
        str | None, typer.Option(help="Head that an earlier run printed; the log must still contain it.")
    ] = None,
    folder: Annotated[Path | None, typer.Option(help="Another folder, such as a backup.", file_okay=False)] = None,
    as_json: AsJson = False,
) -> None:
    """Check that no entry was changed, removed, moved or inserted, and compare the log with the heads anchored on the
    ledger if `audit_stream` is set. Prints the head of the log; keep it in another place."""
    settings = read_settings(context.obj)
    anchored = _anchored(context.obj, settings)
    found = verify_audit(folder or settings.audit_path, None if head is None else _hash(head), anchored)
    shown: dict[str, object] = {
        "first": found.first,
        "last": found.last,
        "files": found.files,
        "head": "0x" + found.head.hex(),
        "follows": "0x" + found.follows.hex(),
        "anchored": None if anchored is None else anchored.last,
    }
    if as_json:
        print_json(context, shown)
        return
    older = f"; older entries, up to hash {shown['follows']}, are not here" if found.first > 1 else ""
    print_lines(f"entries {found.first} to {found.last} in {found.files} files are as they were written{older}")
    if anchored is None:
        print_lines("the log is not anchored on the ledger: anyone who can write the folder can rewrite its end")
    else:
        print_lines(f"entries up to {anchored.last} match the heads anchored on the ledger")
    print_lines(f"head {shown['head']}")


def run_show(
    context: typer.Context,
    target: Annotated[str, typer.Option(help="Only entries whose target contains this text.")] = "",
    participant: Annotated[int | None, typer.Option(help="Only entries of this participant.")] = None,
    decision: Annotated[str, typer.Option(help="Only entries with this decision, such as denied.")] = "",
    last: Annotated[int, typer.Option(min=1, max=100_000, help="Number of entries, counted from the latest.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Show the latest entries without verifying them; see `millmark audit verify`."""
    chosen: deque[dict[str, Json]] = deque(maxlen=last)
    for entry in read_audit(read_settings(context.obj).audit_path):
        fits = target in str(entry["target"]) and decision in ("", entry["decision"])
        if fits and participant in (None, entry["participant"]):
            chosen.append(entry)
    if as_json:
        print_json(context, {"entries": list(chosen)})
        return
    columns = ["number", "time", "participant", "action", "target", "decision"]
    print_table(
        "audit log", columns, [["" if entry[name] is None else entry[name] for name in columns] for entry in chosen]
    )


def open_audit(settings: Settings, read_anchored: Callable[[], int] | None = None) -> AuditLog:
    """The audit log of these settings, open for writing. If it is anchored and `read_anchored` does not say how far,
    no file of it is deleted. Raises AuditError."""
    if settings.audit_stream is not None and read_anchored is None:
        read_anchored = int  # nothing: the gateway deletes what is too many
    return AuditLog(
        settings.audit_path,
        lambda: int(time.time()),
        keep_files=settings.audit_files,
        anonymous_per_day=settings.audit_anonymous_per_day,
        read_anchored=read_anchored,
    )


def _anchored(home: Path, settings: Settings) -> AnchoredHeads | None:
    """The heads that the ledger anchors, by its own state; None if no audit stream is set. Raises AuditError,
    ChainError."""
    stream = settings.audit_stream_subject
    if stream is None:
        return None
    with open_context(home) as opened:
        # From the contract, not from the index: the database is part of what is being checked.
        found = opened.chain().read_struct(Contract.LEDGER, "streamOf", stream)
        with opened.store.reading() as connection:
            log = Book(connection).evidence(stream)
    return AnchoredHeads(open_heads(log, cast(int, found["size"]), cast(bytes, found["root"])))


@contextmanager
def audited(settings: Settings, action: str, target: str) -> Iterator[None]:
    """Logs the command in the `with` block as done by the operator, whether it succeeds or fails.

    A person at the command line has the database and the key file, so there is no caller to authenticate.
    """
    # Opened first, so that nothing is done if the log cannot be written. Entries state the outcome, so they come last.
    log = open_audit(settings)
    try:
        yield
    except MillmarkError:
        log.append(Access(None, "operator", action, target, _FAILED, "", None))
        raise
    else:
        log.append(Access(None, "operator", action, target, _DONE, "", None))
    finally:
        log.close()


def _hash(text: str) -> bytes:
    try:
        found = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        found = b""
    if len(found) != 32:
        raise InputError(f"{text[:80]!a} is not a head", hint="give 0x and 64 hexadecimal digits, as `verify` prints")
    return found
