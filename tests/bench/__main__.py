"""`scripts/bench`: without a name it measures the table of Millmark beside its peers, else it runs one benchmark."""

from __future__ import annotations

import sys

from millmark.ledger.errors import MillmarkError, NotInstalledError
from millmark.quality.errors import QualityError
from millmark.services.output import warn

_QUALITY = ("ai4i", "digest", "forda", "process", "speed", "steel")
"""Benchmarks of quality models, which need neither ledger nor services."""


def main(arguments: list[str]) -> int:
    """Returns the exit code: 1 if a bar is missed, 2 for unusable input."""
    name = next(iter(arguments), "table")
    if name == "table" or (name.startswith("-") and name not in ("-h", "--help")):
        from tests.bench.table.__main__ import main as measure_table  # noqa: PLC0415 - each needs other packages

        return measure_table(arguments[1:] if name == "table" else arguments)
    if name in _QUALITY:
        from tests.bench.quality.commands import main as judge  # noqa: PLC0415 - as above

        return judge(arguments)
    from tests.bench.commands import app  # noqa: PLC0415 - as above

    try:
        app(["--help"] if name == "-h" else arguments, prog_name="scripts/bench")
    except (MillmarkError, QualityError) as error:
        warn(str(error))
        return error.exit_code
    except ModuleNotFoundError as missing:
        warn(str(NotInstalledError("this benchmark", missing.name or "", "dev")))
        return NotInstalledError.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
