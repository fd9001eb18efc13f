"""The edition of the GS1 application identifiers on which `millmark.ledger.ids` is based."""

from __future__ import annotations

from typing import Final

from millmark.ledger.ids._ai_table import ROWS

__all__ = ["EDITION", "LICENCE", "ROWS", "SOURCE"]

EDITION: Final = "2026-07"
"""Year and month in which the source was read."""
SOURCE: Final = "https://github.com/gs1/gs1-syntax-dictionary"
LICENCE: Final = "Apache-2.0"
"""Licence of the source."""
