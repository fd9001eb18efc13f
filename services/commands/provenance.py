"""`millmark find`, `trace` and `recall`: what a text names, where things come from, and where they went."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from millmark.ledger import provenance
from millmark.ledger.errors import InputError, NotFoundError
from millmark.ledger.provenance.answers import Cut
from millmark.services.commands.context import Context, open_context
from millmark.services.files import write_whole
from millmark.services.output import AsJson, print_json, print_lines, print_table, warn
from millmark.services.text.shortening import shorten
from millmark.services.text.trace import describe_cut, describe_order, describe_recall, describe_trace

if TYPE_CHECKING:
    from millmark.ledger.chain import Chain
    from millmark.ledger.checkpoint import SignedCheckpoint
    from millmark.ledger.store import Store

Full = Annotated[bool, typer.Option("--full", help="Print identifiers whole instead of their last parts.")]
_DEPTH, _LOTS = provenance.Limits().depth, provenance.Limits().lots


def register(app: typer.Typer) -> None:
    app.command("find", epilog="Example: millmark find A0006R")(run_find)
    app.command("trace", epilog="Example: millmark trace https://id.gs1.org/01/09506000013459/21/A0001")(run_trace)
    app.command("recall", epilog="Example: millmark recall --model 9 --bundle recall.bundle")(run_recall)


def run_find(
    context: typer.Context,
    text: Annotated[
        str,
        typer.Argument(help="Identifier or its last part, what a code holds, a subject, a number, a company's name."),
    ],
    as_json: AsJson = False,
) -> None:
    """Find what a text names: orders, lots, machines, streams, companies, models and certificates."""
    from millmark.ledger.provenance.search import MAX_FOUND, FoundThings, search  # noqa: PLC0415 - traces start without it

    with open_context(context.obj) as opened:
        _catch_up(opened)
        found = search(opened.store, text, None)
    if as_json:
        print_json(context, FoundThings(found, len(found) >= MAX_FOUND).to_json())
        return
    if not found:
        raise NotFoundError(f"nothing here is called {text[:80]!a}", hint="try a part of the name, or its number")
    rows = [[one.kind.value, one.name or one.key, one.number] for one in found]
    print_table("found", ["kind", "name", "number"], rows)
    if len(found) >= MAX_FOUND:
        print_lines(f"only the first {MAX_FOUND} are shown: write more of the name")


def run_trace(
    context: typer.Context,
    identifier: str,
    direction: Annotated[
        provenance.Direction, typer.Option(help="Up: what it was made from. Down: what was made from it.")
    ] = provenance.Direction.BOTH,
    depth: Annotated[
        int, typer.Option(help=f"Maximum number of steps either way, 1 to {provenance.MAX_TRACED.depth}.")
    ] = _DEPTH,
    limit: Annotated[
        int, typer.Option(help=f"Maximum number of lots in one list, 1 to {provenance.MAX_TRACED.lots}.")
    ] = _LOTS,
    full: Full = False,
    as_json: AsJson = False,
) -> None:
    """Show where a lot or an order comes from: order, machines, material, evidence, certificates, custody."""
    limits = _limits(depth, limit, provenance.MAX_TRACED)
    with open_context(context.obj) as opened:
        _catch_up(opened)
        found = provenance.trace(opened.store, identifier, direction=direction, limits=limits)
    if as_json:
        print_json(context, found.to_json())
        _warn_of_cuts(found.cuts)
        return
    lines = describe_trace(found) if isinstance(found, provenance.Trace) else describe_order(found)
    print_lines(*(lines if full else shorten(lines)))


def run_recall(
    context: typer.Context,
    model: Annotated[int | None, typer.Option(help="Recall everything that this model certified; its number.")] = None,
    lot: Annotated[str | None, typer.Option(help="Recall everything made from this lot; its identifier.")] = None,
    machine: Annotated[
        str | None, typer.Option(help="Recall all that this machine made and measured; its number or identifier.")
    ] = None,
    between: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="FROM TO", help="With --machine: days, or times with a time zone; both ends included."),
    ] = None,
    depth: Annotated[
        int, typer.Option(help=f"Maximum number of steps, 1 to {provenance.MAX_RECALLED.depth}.")
    ] = provenance.MAX_RECALLED.depth,
    limit: Annotated[
        int, typer.Option(help=f"Maximum number of lots, 1 to {provenance.MAX_RECALLED.lots}.")
    ] = provenance.MAX_RECALLED.lots,
    bundle: Annotated[
        Path | None,
        typer.Option(
            help="File to write with the proof of all these lots, for `millmark verify --any-status`; split into "
            "numbered files if one would be too large."
        ),
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="With --bundle: co-signed block that the receiver starts from; the latest by default."),
    ] = None,
    full: Full = False,
    as_json: AsJson = False,
) -> None:
    """List every certificate, lot, order and holder affected by a bad model, lot or machine."""
    if checkpoint is not None and bundle is None:
        raise InputError("--checkpoint needs --bundle", hint="give --bundle as well")
    point = _read_point(checkpoint)
    since, until = (None, None) if between is None else _parse_span(*between)
    limits = _limits(depth, limit, provenance.MAX_RECALLED)
    with open_context(context.obj) as opened:
        _catch_up(opened)
        found: provenance.Recall = provenance.recall(
            opened.store, model=model, lot=lot, machine=machine, since=since, until=until, limits=limits
        )
        files = None if bundle is None else _write_recall(opened.store, opened.chain(), found, bundle, point)
    if as_json:
        print_json(context, found.to_json() | ({} if files is None else {"bundles": files}))
        _warn_of_cuts(found.cuts)
    else:
        lines = describe_recall(found)
        print_lines(*(lines if full else shorten(lines)), *([] if files is None else _describe_files(found, files)))


def _warn_of_cuts(cuts: Iterable[Cut]) -> None:
    """What is printed for people says by itself what was cut off."""
    for cut in cuts:
        warn(f"millmark: cut off: {describe_cut(cut)}")


def _limits(depth: int, lots: int, most: provenance.Limits) -> provenance.Limits:
    for name, value, top in (("--depth", depth, most.depth), ("--limit", lots, most.lots)):
        if not 1 <= value <= top:
            raise InputError(f"{name} {value} is out of range", hint=f"give 1 to {top}")
    return provenance.Limits(depth, lots)


def _parse_span(first: str, last: str) -> tuple[datetime, datetime]:
    """First and last second of a period, both included. Either end is a whole day in UTC or a time with a time zone.
    Raises InputError for anything else."""
    return _parse_moment(first, timedelta(0)), _parse_moment(last, timedelta(days=1, seconds=-1))


def _parse_moment(text: str, of_day: timedelta) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        # `fromisoformat` also accepts 20260302 and 2026-W10; these have no time zone and are refused below.
        if len(text) == len("2026-03-02"):
            return moment.replace(tzinfo=UTC) + of_day
    except (ValueError, OverflowError):
        moment = None
    if moment is None or moment.tzinfo is None:
        raise InputError(
            f"{text} is neither a day nor a time with a time zone", hint="give 2026-03-02 or 2026-03-02T09:30:00Z"
        )
    return moment


def _catch_up(opened: Context) -> None:
    unreachable = opened.catch_up()
    if unreachable is not None:
        warn(f"millmark: {unreachable.cause}; answering from the index, which may be out of date")


def _write_recall(
    store: Store, chain: Chain, found: provenance.Recall, output: Path, checkpoint: SignedCheckpoint | None
) -> list[dict[str, object]]:
    """Writes `output`, or several files with numbered names if one would be too large; returns a summary of each.
    Raises InputError, and the errors of `build_recall_bundles`."""
    from millmark.services.commands.bundle import describe_bundle  # noqa: PLC0415 - for `--bundle` alone

    # All are built before the first is written, so that a failure leaves no incomplete set of files.
    built = [bundle.data for bundle in provenance.build_recall_bundles(store, chain, found, checkpoint)]
    paths = [output.with_name(f"{output.stem}-{place}{output.suffix}") for place in range(1, len(built) + 1)]
    paths = [output] if len(built) == 1 else paths
    for path, data in zip(paths, built, strict=True):
        write_whole(path, data)
    return [describe_bundle(data, path) for path, data in zip(paths, built, strict=True)]


def _read_point(path: Path | None) -> SignedCheckpoint | None:
    if path is None:
        return None
    from millmark.services.commands.bundle import read_point  # noqa: PLC0415 - for `--bundle` alone

    return read_point(path)


def _describe_files(found: provenance.Recall, files: list[dict[str, object]]) -> list[str]:
    """Lines that say which files were written, and what they prove and do not prove."""
    if not files:
        return ["no lot is affected, so no file is written"]
    lines = [f"{len(files)} files, because one would be too large"] if len(files) > 1 else []
    for file in files:
        size = f"{file['records']} records, {file['bytes']} bytes, as of block {file['block_number']}"
        lines.append(f"written to {file['file']}: {size}; verify it with --any-status")
    lines.append("proved: each lot's whole history, with its certificates, order and holder, and what was made from it")
    if found.lot is None:
        lines.append("not proved: that these are all lots of that model or machine, which only the index says")
    if found.truncated:
        lines.append("not proved: anything about the lots that were cut off")
    return lines
