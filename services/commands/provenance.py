"""`millmark trace` and `millmark recall`."""

from __future__ import annotations

import enum
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from ledger.chain import Chain
from ledger.checkpoint import SignedCheckpoint
from ledger.errors import InputError
from ledger.provenance import (
    MOST_RECALLED,
    MOST_TRACED,
    Direction,
    Limits,
    OrderTrace,
    Recall,
    Trace,
    build_recall_bundles,
    recall,
    trace,
)
from ledger.store import Store
from services.commands.bundle import describe_bundle, read_point
from services.commands.context import Context, open_context
from services.files import write_whole
from services.options import AsJson
from services.output import print_json, print_lines, warn, write_text
from services.pictures import build_family, describe_cut, draw_dot, draw_svg, draw_tree
from services.text.trace import describe_order, describe_recall, describe_trace

__all__ = ["register"]

_DEFAULT = Limits()


class Form(enum.Enum):
    """How a trace is shown."""

    TABLE = "table"
    TREE = "tree"
    JSON = "json"
    DOT = "dot"
    SVG = "svg"


def register(app: typer.Typer) -> None:
    app.command("trace", epilog="Example: millmark trace https://id.gs1.org/01/09506000013459/21/A0001")(run_trace)
    app.command("recall", epilog="Example: millmark recall --model 9 --bundle recall.bundle")(run_recall)


def run_trace(
    context: typer.Context,
    identifier: str,
    direction: Annotated[
        Direction, typer.Option(help="Up: what it was made from. Down: what was made of it.")
    ] = Direction.BOTH,
    form: Annotated[
        Form, typer.Option("--as", help="Everything as table or JSON; the lots alone as tree or picture.")
    ] = Form.TABLE,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write to, instead of the terminal.")
    ] = None,
    depth: Annotated[int, typer.Option(help=f"Most steps either way, 1 to {MOST_TRACED.depth}.")] = _DEFAULT.depth,
    limit: Annotated[int, typer.Option(help=f"Most lots in one list, 1 to {MOST_TRACED.lots}.")] = _DEFAULT.lots,
    as_json: AsJson = False,
) -> None:
    """Say where a lot or an order comes from: order, machines, material, evidence, certificates, custody."""
    if as_json and form not in (Form.TABLE, Form.JSON):
        raise InputError(f"--json and --as {form.value} are two forms", hint="give one of them")
    limits = _limits(depth, limit, MOST_TRACED)
    with open_context(context.obj) as opened:
        _catch_up(opened)
        found = trace(opened.store, identifier, direction=direction, limits=limits)
    form = Form.JSON if as_json else form
    _write(_show(found, form, direction), output)
    if output is not None or form not in (Form.TABLE, Form.TREE):
        for cut in found.cuts:
            warn(f"millmark: cut off: {describe_cut(cut)}")


def run_recall(
    context: typer.Context,
    model: Annotated[int | None, typer.Option(help="Number of a quality model: everything it certified.")] = None,
    lot: Annotated[str | None, typer.Option(help="Identifier of a lot: everything made of it.")] = None,
    machine: Annotated[
        str | None, typer.Option(help="Number or identifier of a machine: everything it made and measured then.")
    ] = None,
    between: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="FROM TO", help="With --machine: days, or moments with a time zone; both included."),
    ] = None,
    depth: Annotated[int, typer.Option(help=f"Most steps, 1 to {MOST_RECALLED.depth}.")] = MOST_RECALLED.depth,
    limit: Annotated[int, typer.Option(help=f"Most lots, 1 to {MOST_RECALLED.lots}.")] = MOST_RECALLED.lots,
    bundle: Annotated[
        Path | None,
        typer.Option(
            help="File to write with proof of all these lots, for `millmark verify --any-status`; several, numbered, "
            "when one would be too large."
        ),
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="With --bundle: co-signed block that the receiver starts from; the latest by default."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List every certificate, lot, order and holder that a bad model, a bad lot or a bad machine reaches."""
    if checkpoint is not None and bundle is None:
        raise InputError("a checkpoint is for a bundle", hint="give --bundle as well")
    point = read_point(checkpoint)
    since, until = (None, None) if between is None else _parse_span(*between)
    limits = _limits(depth, limit, MOST_RECALLED)
    with open_context(context.obj) as opened:
        _catch_up(opened)
        found: Recall = recall(
            opened.store, model=model, lot=lot, machine=machine, since=since, until=until, limits=limits
        )
        files = None if bundle is None else _write_recall(opened.store, opened.chain(), found, bundle, point)
    if as_json:
        print_json(found.to_json() | ({} if files is None else {"bundles": files}))
        for cut in found.cuts:
            warn(f"millmark: cut off: {describe_cut(cut)}")
    else:
        print_lines(*describe_recall(found), *([] if files is None else _describe_files(found, files)))


def _show(found: Trace | OrderTrace, form: Form, direction: Direction) -> str:
    if form is Form.TABLE:
        lines = describe_trace(found) if isinstance(found, Trace) else describe_order(found)
        return "\n".join(lines) + "\n"
    if form is Form.JSON:
        return json.dumps(found.to_json(), indent=2) + "\n"
    family = build_family(found)
    if form is Form.TREE:
        return "\n".join(draw_tree(family, direction)) + "\n"
    return draw_dot(family) if form is Form.DOT else draw_svg(family)


def _write(text: str, output: Path | None) -> None:
    if output is None:
        print_lines(text.removesuffix("\n"))
    else:
        write_text(output, text)


def _limits(depth: int, lots: int, most: Limits) -> Limits:
    for name, value, top in (("--depth", depth, most.depth), ("--limit", lots, most.lots)):
        if not 1 <= value <= top:
            raise InputError(f"{name} {value} is out of range", hint=f"give 1 to {top}")
    return Limits(depth, lots)


def _parse_span(first: str, last: str) -> tuple[datetime, datetime]:
    """Raises InputError for what is neither a day (in UTC) nor a moment with a time zone. A day counts in whole."""
    return _parse_moment(first, timedelta(0)), _parse_moment(last, timedelta(days=1, seconds=-1))


def _parse_moment(text: str, of_day: timedelta) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        if len(text) == len("2026-03-02"):
            return moment.replace(tzinfo=UTC) + of_day
    except (ValueError, OverflowError):
        moment = None
    if moment is None or moment.tzinfo is None:
        raise InputError(
            f"{text} is no day and no moment with a time zone", hint="give 2026-03-02 or 2026-03-02T09:30:00Z"
        )
    return moment


def _catch_up(opened: Context) -> None:
    unreachable = opened.catch_up()
    if unreachable is not None:
        warn(f"millmark: {unreachable.cause}: answering from the index")


def _write_recall(
    store: Store, chain: Chain, found: Recall, output: Path, checkpoint: SignedCheckpoint | None
) -> list[dict[str, object]]:
    """Writes `output`, or `output` with numbers in its name when one file would be too large: all or none is built
    before any is written. Says of each what `millmark bundle` says. Raises as `build_recall_bundles`, InputError."""
    built = [bundle.data for bundle in build_recall_bundles(store, chain, found, checkpoint)]
    paths = [output] if len(built) == 1 else [_numbered(output, place) for place in range(1, len(built) + 1)]
    for path, data in zip(paths, built, strict=True):
        write_whole(path, data)
    return [describe_bundle(data, path) for path, data in zip(paths, built, strict=True)]


def _numbered(path: Path, place: int) -> Path:
    return path.with_name(f"{path.stem}-{place}{path.suffix}")


def _describe_files(found: Recall, files: list[dict[str, object]]) -> list[str]:
    """What was written, and what it proves."""
    if not files:
        return ["no lot is reached, so there is nothing to prove: no file is written"]
    lines = [f"{len(files)} files, since one would be too large"] if len(files) > 1 else []
    for file in files:
        size = f"{file['records']} records, {file['bytes']} bytes, as of block {file['block_number']}"
        lines.append(f"written to {file['file']}: {size}; verify it with --any-status")
    lines.append("proved: each lot's whole history, with its certificates, order and holder, and what was made of it")
    if found.lot is None:
        lines.append("not proved: that these are all lots of that model or machine; this is the word of the index")
    if found.truncated:
        lines.append("not proved: what was cut off")
    return lines
