"""What decides a forecast's figures, in text and integers: the document of a forecast names its model by the hash of
this."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from millmark.quality.demand.engine import Outcome, Setting

_METHOD = "millmark.demand"
_PACKAGES, _PLAIN = ("lightgbm", "numpy", "statsforecast"), ("numpy",)
_VERSION = 1
"""Counted up with every change of the method."""


def describe(outcome: Outcome, setting: Setting) -> dict[str, str | int | dict[str, str]]:
    sparse = outcome.intermittent
    return {
        "method": f"{_METHOD}.plain" if setting.plain else _METHOD,
        "version": _VERSION,
        "regular": outcome.chosen,
        "intermittent": "" if sparse is None else f"{sparse.mean}; quantiles of {sparse.quantiles}",
        "packages": {name: _version(name) for name in (_PLAIN if setting.plain else _PACKAGES)},
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
