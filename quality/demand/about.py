"""What decides a forecast's figures, in text and integers: the document of a forecast names its model by the hash of
this."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from quality.demand.engine import Outcome

__all__ = ["describe"]

_METHOD = "millmark.demand"
_VERSION = 1
"""Counted up with every change of the method."""


def describe(outcome: Outcome) -> dict[str, str | int | dict[str, str]]:
    sparse = outcome.intermittent
    return {
        "method": _METHOD,
        "version": _VERSION,
        "regular": outcome.chosen,
        "intermittent": "" if sparse is None else f"{sparse.mean}; quantiles of {sparse.quantiles}",
        "packages": {name: _version(name) for name in ("lightgbm", "numpy", "statsforecast")},
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
