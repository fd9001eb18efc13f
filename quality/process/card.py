"""The card of a process model: its data, its errors and how it was trained, as canonical JSON without floats."""

from __future__ import annotations

import json
from collections.abc import Mapping

from millmark.quality.card import CardValue, list_versions, ppm
from millmark.quality.process.format import FORMAT_VERSION, build_process_model, process_digest
from millmark.quality.process.records import slope_ppm
from millmark.quality.process.telemetry import Layout, Telemetry
from millmark.quality.process.training import TrainedProcess


def build_process_card(trained: TrainedProcess, telemetry: Telemetry, layout: Layout, name: str) -> bytes:
    """Canonical JSON. Errors are RMSE over the horizon on validation rows, in millionths of a standard deviation."""
    card: dict[str, CardValue] = {
        "data": {
            "name": name,
            "rows": len(telemetry.values),
            "sha256": list(telemetry.sha256s),
            "step_s": telemetry.step_s,
            "training_rows": len(trained.training),
            "validation_rows": len(trained.validation),
        },
        "format_version": FORMAT_VERSION,
        "gate": _describe_gate(trained),
        "model": _describe_model(trained),
        "roles": {column: layout.role(column).name.lower() for column in layout.names},
        "training": _describe_training(trained),
        "validation": {
            way: {column.name: ppm(float(error)) for column, error in zip(trained.model.columns, errors, strict=False)}
            for way, errors in trained.errors.items()
        },
        "versions": list_versions(),
    }
    return json.dumps(card, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def _describe_gate(trained: TrainedProcess) -> Mapping[str, CardValue]:
    """By column, whose prediction counts."""
    n = trained.model.predicted
    better = trained.errors["arx"] < trained.errors["network"]
    return {trained.model.columns[place].name: "arx" if better[place] else "network" for place in range(n)}


def _describe_model(trained: TrainedProcess) -> Mapping[str, CardValue]:
    model = trained.model
    built = build_process_model(model)
    described: dict[str, CardValue] = {
        "bytes": len(built),
        "columns": [
            {
                "decimals": column.decimals,
                "high": column.high,
                "low": column.low,
                "name": column.name,
                "role": column.role.name.lower(),
                "spread": column.spread,
                "zero": column.zero,
            }
            for column in model.columns
        ],
        "errors": list(model.errors),
        "sha256": process_digest(built).hex(),
        "systems": [
            {"anchored": int(one.anchored), "hidden": one.hidden, "history": one.history, "memory": one.memory}
            for one in model.systems
        ],
        "trained_until": model.trained_until,
    }
    if model.utilisation is not None:
        described["slopes_ppm"] = [slope_ppm(model.utilisation.phi), slope_ppm(model.utilisation.psi)]
        described["capacity"] = model.utilisation.capacity
    return described


def _describe_training(trained: TrainedProcess) -> Mapping[str, CardValue]:
    recipe, (order, ridge) = trained.recipe, trained.arx
    return {
        "arx_order": order,
        "folds": recipe.folds,
        "arx_ridge_1e9": round(ridge * 1e9),
        "hidden": recipe.hidden,
        "history": recipe.history,
        "horizon": recipe.horizon,
        "penalty_1e9": round(recipe.penalty * 1e9),
        "refit": int(recipe.refit),
        "rounds": recipe.rounds,
        "seed": trained.seed,
    }
