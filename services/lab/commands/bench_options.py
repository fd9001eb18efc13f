"""Options that several benchmarks share."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["FirstSeed"]

FirstSeed = Annotated[int, typer.Option(min=0, max=1_000_000, help="The first seed.")]
