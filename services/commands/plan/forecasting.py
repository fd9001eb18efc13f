"""`millmark plan forecast`: demand by product, option and week, recorded before it comes, and scored when it came."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from millmark.ledger.canonical import to_hex
from millmark.ledger.errors import InputError
from millmark.services.commands.acts.act import Done, Group, Home, Listing
from millmark.services.commands.plan.planner import PLAN, Planner, Stream, choose, open_planner, short_hash
from millmark.services.files import write_private_whole
from millmark.services.output import warn
from millmark.services.planning.forecast import recording
from millmark.services.planning.forecast.document import (
    MAX_WEEKS,
    Cut,
    ForecastDocument,
    History,
    SeriesForecast,
    model_hash,
    week_text,
)
from millmark.services.planning.forecast.repository import ForecastRepository, ForecastRow
from millmark.services.planning.forecast.scoring import Score, list_forecast, score_forecast, show_scored
from millmark.services.planning.reading import PlanningTables
from millmark.services.products.loading import Catalogue

FORECAST = Group("forecast", "Forecast demand from own orders, and see how earlier forecasts did.")
PLAN.app.add_typer(FORECAST.app, name=FORECAST.name)
ForecastName = Annotated[
    str | None,
    typer.Argument(metavar="[FORECAST]", help="Its digest, or the beginning of it; by default the latest."),
]
Block = Annotated[int | None, typer.Option(min=0, help="Count orders up to this final block; by default the latest.")]


@FORECAST.act("make", "millmark plan forecast make --weeks 13")
def make(
    at: Home,
    weeks: Annotated[int, typer.Option(min=1, max=MAX_WEEKS, help="How many weeks, from the present one on.")] = 13,
    level: Annotated[int, typer.Option(min=50, max=99, help="Per cent of the intervals.")] = 80,
    block: Block = None,
    plain: Annotated[
        bool, typer.Option("--plain", help="By naive forecasts and smoothing alone; needs numpy and nothing else.")
    ] = False,
    stream: Stream = None,
) -> Done:
    """Forecast demand by product, option and week, and record it.

    Counts the orders that this company is part of, as the ledger has them at a final block: at their latest agreed
    quantities, without those cancelled or ended. Needs millmark[forecast], unless --plain is given.
    """
    with open_planner(at) as planner:
        own, history = planner.stream(stream, None), _history(planner, _cut(planner, block))
        with planner.reading() as tables:
            identity = recording.need_identity(tables.connection)
        from millmark.services.planning.forecast.making import make_forecast  # noqa: PLC0415 - numpy is optional

        made = make_forecast(history, identity, weeks, level, plain=plain)
        for line in _told(made):
            warn(f"millmark: {line}")
        with planner.writing() as tables:
            known = ForecastRepository(tables.connection).find(made.digest)
            sealed = None if known is not None else recording.seal_forecast(tables.connection, own, made)
        if sealed is None:
            lost = planner.anchor_rest(own)
            if lost is None:
                raise InputError("this forecast is recorded already", hint="millmark plan forecast show")
            return lost
        total = sum(sum(one.quantities) for one in made.totals())
        said = (
            f"forecast {short_hash(made.digest)} of {len(made.totals())} products over {weeks} weeks from "
            f"{week_text(made.first_week)}: {total} in all, from {made.orders} orders up to block {made.cut.block}"
        )
        return Done(planner.anchor(own, sealed), said, f"millmark plan forecast show {short_hash(made.digest)}")


@FORECAST.list("list", "millmark plan forecast list", of="forecasts", whole=True)
def list_forecasts(at: Home) -> Listing:
    """List the forecasts that were made here."""
    with open_planner(at) as planner, planner.reading() as tables:
        rows = ForecastRepository(tables.connection).all()
        items = [
            list_forecast(
                recording.need_forecast(tables.connection, row.digest)[0], recording.anchored_at(tables.connection, row)
            )
            for row in rows
        ]
    columns: dict[str, Callable[[dict[str, object]], object]] = {
        "forecast": lambda one: str(one["forecast"])[:12],
        "from": lambda one: one["first_week"],
        "weeks": lambda one: one["weeks"],
        "products": lambda one: one["products"],
        "orders": lambda one: one["orders"],
        "block": lambda one: one["block"],
        "recorded": lambda one: "yes" if one["anchored"] else "not yet",
    }
    return Listing("forecasts", items, columns)


@FORECAST.list("show", "millmark plan forecast show 0x3c4d5e", of="quantities", whole=True)
def show(
    at: Home,
    forecast: ForecastName = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Also write the document as JSON.")] = None,
) -> Listing:
    """Show a forecast: quantities by product, option and week, each with its interval."""
    with open_planner(at) as planner:
        document, _ = _open(planner, forecast)
    if output is not None:
        write_private_whole(output, document.to_bytes())
    items = [item for one in document.series for item in _weeks(document, one)]
    columns: dict[str, Callable[[dict[str, object]], object]] = {
        "product": lambda one: one["product"],
        "option": lambda one: f"{one['option']}={one['value']}" if one["option"] else "all",
        "week": lambda one: one["week"],
        "quantity": lambda one: one["quantity"],
        f"{document.level_percent} % interval": lambda one: (
            "-" if one["low"] is None else f"{one['low']}-{one['high']}"
        ),
    }
    return Listing(
        f"forecast {short_hash(document.digest)}", items, columns, more=[*_told(document), *_about(document)]
    )


@FORECAST.list("score", "millmark plan forecast score 0x3c4d5e", of="scores", whole=True)
def score(at: Home, forecast: ForecastName = None, block: Block = None) -> Listing:
    """Score a forecast by what the ledger shows since: bias, error beside the naive forecast's, coverage."""
    with open_planner(at) as planner:
        document, row = _open(planner, forecast)
        then, now = _cut(planner, document.cut.block), _cut(planner, block)
        before, since = _history(planner, then), _history(planner, now)
        with planner.reading() as tables:
            anchored_s = recording.anchored_at(tables.connection, row)
        found = score_forecast(document, before, since, anchored_s)
    items = [show_scored(one).to_json() for one in found.series if not one.key.option or one.forecast != one.actual]
    columns: dict[str, Callable[[dict[str, object]], object]] = {
        "product": lambda one: one["product"],
        "option": lambda one: f"{one['option']}={one['value']}" if one["option"] else "all",
        "forecast": lambda one: one["forecast"],
        "came": lambda one: one["actual"],
        "error": lambda one: one["error"],
        "naive's error": lambda one: one["naive_error"],
        "within": lambda one: "-" if one["covered"] is None else f"{one['covered']} of {one['weeks']}",
    }
    return Listing(f"forecast {short_hash(document.digest)}, scored", items, columns, more=_summed(found))


def _cut(planner: Planner, block: int | None) -> Cut:
    with planner.reading() as tables:
        cursor = recording.read_cursor(tables.connection)
    return recording.find_cut(planner.opened.chain(), cursor, block)


def _history(planner: Planner, cut: Cut) -> History:
    with planner.reading() as tables:
        return recording.read_history(tables.connection, planner.me, cut, Catalogue(planner.at.home).find_digest)


def _open(planner: Planner, name: str | None) -> tuple[ForecastDocument, ForecastRow]:
    """A forecast by its digest or the beginning of it. Raises NotFoundError, InputError, ForecastError."""
    with planner.reading() as tables:
        return recording.need_forecast(tables.connection, _choose(tables, name).digest)


def _choose(tables: PlanningTables, name: str | None) -> ForecastRow:
    rows = ForecastRepository(tables.connection).all()
    if name is None and rows:
        return rows[0]
    if name is None:
        raise InputError("no forecast was made here yet", hint="millmark plan forecast make")
    return choose("forecast", name, rows, lambda row: row.digest)


def _weeks(document: ForecastDocument, series: SeriesForecast) -> list[dict[str, object]]:
    key = series.key
    named = {"product": key.product, "unit": key.unit, "option": key.option, "value": key.value}
    return [
        {
            **named,
            "week": week_text(monday),
            "quantity": series.quantities[place],
            "low": None if series.low is None else series.low[place],
            "high": None if series.high is None else series.high[place],
        }
        for place, monday in enumerate(document.mondays)
    ]


def _told(document: ForecastDocument) -> list[str]:
    """What was left out, and what was done in place of the usual."""
    words = {
        "withdrawn": "were cancelled or ended",
        "unnamed": "name no product that is known here",
        "unread": "have no document here",
        "later": "are dated after the cut",
        "older": "are older than ten years",
    }
    lines = [f"{count} orders {words.get(reason, reason)}: not counted" for reason, count in document.left_out.items()]
    notes = {(one.key.product, one.note) for one in document.totals() if one.note}
    return [*lines, *(f"{product}: {note}" for product, note in sorted(notes))]


def _about(document: ForecastDocument) -> list[str]:
    test = document.back_test
    lines = [
        f"data up to block {document.cut.block}, {to_hex(document.cut.hash)}",
        f"model {to_hex(model_hash(document.model))}: {test.chosen}",
    ]
    if test.windows:
        shown = sorted((loss, name) for name, loss in test.losses.items())
        told = ", ".join(f"{name} {loss / 1000:.3f}" for loss, name in shown)
        lines.append(f"back-test over {test.windows} windows, mean scaled error: {told}")
    return lines


def _summed(found: Score) -> list[str]:
    inside, known = found.covered
    bias = "-" if found.bias_permille is None else f"{found.bias_permille / 10:+.1f} %"
    lines = [
        f"{found.weeks} weeks, up to block {found.cut.block}: bias {bias}; mean absolute error "
        f"{_mean(found.error, found)} beside {_mean(found.naive_error, found)} of the naive forecast",
        f"{inside} of {known} weeks within their interval" if known else "there were no intervals",
    ]
    if found.skipped:
        lines.append(f"{found.skipped} weeks had begun when the forecast was recorded: they do not count")
    return lines


def _mean(error: int, found: Score) -> str:
    return f"{error / max(1, found.weeks * len(found.totals)):.2f}"
