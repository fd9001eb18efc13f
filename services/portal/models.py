"""What a company's own book knows of quality models: the card of their training, drift, what was found in the field."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ledger.provenance import open_reader
from ledger.store import Store
from ledger.store.rows import ModelRow

if TYPE_CHECKING:
    from services.inspections.model_health import ModelHealth

__all__ = ["KnownModel", "describe_models"]

_METRICS = ("accuracy", "f1", "average_precision", "precision", "recall")


@dataclass(frozen=True, slots=True)
class KnownModel:
    rows: int | None
    """Of the test data that the card's metrics were measured on."""
    metrics: tuple[tuple[str, float], ...]
    health: ModelHealth | None
    """None where numpy is not installed."""


def describe_models(store: Store) -> dict[int, KnownModel]:
    """By number; a model whose card is not kept has no metrics."""
    health = {one.model: one for one in _monitor(store)}
    found: dict[int, KnownModel] = {}
    with open_reader(store) as reader:
        for row in reader.rows.find(ModelRow):
            kept = reader.book.model(row.digest)
            test = _test(kept.card) if kept is not None else {}
            rows = test.get("rows")
            found[row.number] = KnownModel(rows if type(rows) is int else None, _metrics(test), health.get(row.number))
    return found


def _monitor(store: Store) -> list[ModelHealth]:
    try:
        from services.inspections.model_health import monitor  # noqa: PLC0415 - needs numpy, which others do not
    except ModuleNotFoundError:
        return []
    return monitor(store)


def _test(card: str) -> dict[str, Any]:
    """The card's part about test data; empty for a card that another program wrote."""
    try:
        found = json.loads(card or "{}").get("test", {})
    except (ValueError, AttributeError):
        return {}
    return found if isinstance(found, dict) else {}


def _metrics(test: dict[str, Any]) -> tuple[tuple[str, float], ...]:
    values = ((name, test.get(f"{name}_ppm")) for name in _METRICS)
    return tuple((name, value / 1e6) for name, value in values if type(value) is int and 0 <= value <= 1_000_000)
