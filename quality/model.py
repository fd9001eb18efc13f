"""The interface of a model family, and the parser that turns untrusted bytes into a model.

A family is a package of `quality` listed in `FAMILIES`, with three modules:

    records   MAGIC; parse_body(header, reader) -> model; build_body(model) -> bytes;
              describe(model) -> (its structure, worst sum of each accumulator)             neither numpy nor torch;
              quantise_row(model, window) -> words; infer_row(model, words) -> logits       neither numpy nor torch
    arrays    quantise(model, windows) -> inputs; prepare(model) -> infer(inputs)           numpy
    tensors   prepare(model) -> infer(inputs)                                               torch

Windows are fixed-point int64 (n, width), inputs are the model's words (n, width), logits are int32 (n, k). A family's
module is imported when a model first needs it.
"""

from __future__ import annotations

import hashlib
import importlib
from dataclasses import replace
from types import ModuleType
from typing import Any, Protocol, cast

from millmark.quality.errors import ModelError
from millmark.quality.inference import MAGIC_SIZE, Decision, Header, Reader, Scale, build_header, parse_header

FAMILIES = {b"MMQN": "network", b"MMQR": "rocket", b"MMQT": "trees"}
"""The magic at the start of the model's bytes, and the family that it stands for."""
MAX_MODEL_BYTES = 2**20
"""Bounds what a parser reads before it knows anything about the model."""


class Model(Protocol):
    """A model of any family: integers only, checked at construction."""

    @property
    def family(self) -> str:
        """The package under `quality` that implements it: a value of `FAMILIES`."""

    @property
    def width(self) -> int:
        """Sensor values in one window, and words in one input."""

    @property
    def decimals(self) -> int:
        """Sensor values are integers in units of 10^-decimals of the sensor's unit."""

    @property
    def decision(self) -> Decision:
        """Turns logits into a verdict."""

    @property
    def scales(self) -> tuple[Scale, ...]:
        """Turn sensor values into words: one scale for all columns, or one per column."""

    @property
    def word_size(self) -> int:
        """Bytes in one word of the input: 1, 2, 4 or 8."""

    @property
    def word_limit(self) -> int:
        """Largest magnitude of a word."""


def decide(model: Model, decision: Decision) -> Model:
    """A copy of the model with another decision. Raises ModelError if the decision does not fit the model."""
    return cast("Model", replace(cast("Any", model), decision=decision))


def load_family(family: str, module: str) -> ModuleType:
    """One of a family's three modules. Raises ModuleNotFoundError if a package that it needs is not installed."""
    return importlib.import_module(f"millmark.quality.{family}.{module}")


def model_digest(model: bytes) -> bytes:
    """SHA-256 of the model's canonical bytes (32 bytes), which identifies the model everywhere."""
    return hashlib.sha256(model).digest()


def build_model(model: Model) -> bytes:
    """Canonical bytes of a model. Raises ModelError if they would exceed 1 MiB."""
    layout = load_family(model.family, "records")
    header = Header(model.decimals, model.decision, model.width, model.scales)
    built = cast("bytes", build_header(layout.MAGIC, header) + layout.build_body(model))
    _require_size(built)
    return built


def parse_model(model: bytes) -> Model:
    """Parse untrusted bytes into a model of the family that their magic names. On return `build_model(result) ==
    model`, every field is within its limits and no sum can overflow int32. A stated length is compared with the bytes
    that remain before memory of that length is allocated. Raises ModelError."""
    _require_size(model)
    reader = Reader(model)
    family = FAMILIES.get(reader.take_bytes(MAGIC_SIZE))
    if family is None:
        raise ModelError(
            "not a model: its first bytes name no family of models", hint="use the model.bin that training wrote"
        )
    parsed = cast("Model", load_family(family, "records").parse_body(parse_header(reader), reader))
    # Trailing bytes would give one model two digests.
    if reader.left:
        raise ModelError(f"model is followed by {reader.left} more bytes")
    return parsed


def _require_size(model: bytes) -> None:
    if len(model) > MAX_MODEL_BYTES:
        raise ModelError(f"model has {len(model)} bytes, the limit is {MAX_MODEL_BYTES}")
