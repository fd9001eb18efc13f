"""`scripts/bench table [ROW...]`: measures the rows and prints the table."""

import argparse
import json
import os
import sys
from pathlib import Path

from millmark.services.demo.processes import leaving_on_signals
from millmark.services.output import json_format, print_document, print_table, warn
from tests.bench.table.report import HEADS, build_json, build_lines, build_markdown, join_rows
from tests.bench.table.rows import ROWS
from tests.bench.table.sides import Outcome, measure_here, run_rows

_PAGE = Path(__file__).parents[1] / "TABLE.md"
_FIGURES = _PAGE.with_suffix(".json")


def main(arguments: list[str]) -> int:
    """Returns 1 if a row failed or none was measured, 2 for an unknown row; a reach that is missed is only marked."""
    known = {row.name: row for row in ROWS}
    options = _parser().parse_args(arguments)
    names = options.rows or list(known)
    if unknown := [name for name in names if name not in known]:
        warn(f"no row {', '.join(unknown)}; there are {', '.join(known)}")
        return 2
    if options.list:
        print_table("rows", ["row", "what", "beside"], [[row.name, row.title, row.peer] for row in ROWS])
        return 0
    if options.measure:
        with leaving_on_signals():
            sys.stdout.write(json.dumps(measure_here(known[names[0]])))
        return 0
    load = os.getloadavg()[0]
    outcomes = list(run_rows([known[name] for name in names], warn))
    staying = _write(outcomes, load) if options.write else {}
    _show(outcomes, load, staying, as_json=options.json)
    is_measured = any(outcome.figures for outcome in outcomes)
    return 1 if not is_measured or any(outcome.failure for outcome in outcomes) else 0


def _write(outcomes: list[Outcome], load: float) -> dict[str, str]:
    """Returns the date of each row whose earlier figures stay because they were not all measured again, by name."""
    # Rows that were not asked for stay as an earlier run left them, with its date.
    kept = json.loads(_FIGURES.read_text()) if _FIGURES.exists() else []
    rows, staying = join_rows(ROWS, kept, build_json(outcomes, load))
    _FIGURES.write_text(json.dumps(rows, indent=1) + "\n")
    _PAGE.write_text(build_markdown([row.name for row in ROWS], rows))
    return staying


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/bench table",
        description="Measures Millmark beside its peers; exit code 1 if a row fails, or none is measured.",
    )
    parser.add_argument("rows", nargs="*", metavar="ROW", help="only these rows")
    parser.add_argument("--list", action="store_true", help="list the rows and measure nothing")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--write", action="store_true", help="also write tests/bench/TABLE.md and TABLE.json")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    return parser


def _show(outcomes: list[Outcome], load: float, staying: dict[str, str], *, as_json: bool) -> None:
    if as_json:
        print_document({"format": json_format(["bench", "table"]), "rows": build_json(outcomes, load)})
        return
    print_table("Millmark beside its peers", list(HEADS), [list(line) for line in build_lines(outcomes, staying)])
    for outcome in outcomes:
        for note in outcome.notes:
            warn(f"{outcome.row.name}: {note}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
