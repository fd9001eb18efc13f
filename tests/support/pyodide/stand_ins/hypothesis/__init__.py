"""Stands in for hypothesis, whose native part does not run in WebAssembly: property tests are skipped, and counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

__all__ = ["HealthCheck", "Phase", "assume", "event", "example", "given", "note", "seed", "settings", "target"]


class Anything:
    """What is only declared, and never drawn from."""

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def __call__(self, *_: Any, **__: Any) -> Anything:
        return self

    def __getattr__(self, name: str) -> Anything:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __or__(self, _: Any) -> Anything:
        return self


def given(*_: Any, **__: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def skip(test: Callable[..., Any]) -> Callable[..., Any]:
        def skipped(*_: Any, **__: Any) -> None:
            pytest.skip("property tests need hypothesis")

        skipped.__name__, skipped.__doc__, skipped.__module__ = test.__name__, test.__doc__, test.__module__
        return skipped

    return skip


def _unchanged(*_: Any, **__: Any) -> Callable[[Any], Any]:
    return lambda test: test


class settings:  # noqa: N801  # hypothesis's own name
    def __init__(self, *_: Any, **__: Any) -> None: ...

    def __call__(self, test: Any) -> Any:
        return test

    register_profile = load_profile = staticmethod(lambda *_, **__: None)


example = seed = _unchanged
HealthCheck = Phase = assume = event = note = target = Anything()


def __getattr__(name: str) -> Anything:
    return Anything()
