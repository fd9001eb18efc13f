"""Random integer networks and inputs, shared by the tests of the quality model."""

from __future__ import annotations

import gzip
import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st
from numpy.typing import NDArray

from millmark.quality import Conv, Decision, Dense, Model, Network, Scale, SumPool, data
from millmark.quality.data import Table, name_labels
from millmark.quality.fitting import Problem
from millmark.quality.rocket import Feature, Rocket, Section

ROOT = Path(__file__).parents[2]
VECTORS = ROOT / "tests" / "unit" / "quality" / "vectors"
MODELS = ROOT / "quality" / "models"
CORPUS = ROOT.parent / "shared" / "corpus" / "quality" / "ford_a"

needs_ford_a = pytest.mark.skipif(not CORPUS.exists(), reason="the FordA corpus is not on this machine")


def load_corpus(*names: str) -> Table:
    """FordA windows in single precision; labels in the first column."""
    rows = np.concatenate([np.load(io.BytesIO(gzip.decompress((CORPUS / name).read_bytes()))) for name in names])
    return Table(values=rows[:, 1:].astype(np.float64), labels=name_labels(rows[:, 0]), sha256s=())


def tiny_network(threshold: int = 10, **changes: object) -> Network:
    """Two columns to one logit: `q0 * 2 - q1 + 3`, with q = x."""
    fields: dict[str, object] = {
        "width": 2,
        "decimals": 0,
        "decision": Decision(outputs=1, rejects=1, threshold=threshold),
        "scales": (Scale(zero=0, multiplier=1, shift=0),),
        "layers": (Dense(inputs=2, outputs=1, multiplier=0, biases=(3,), weights=b"\x02\xff"),),
    }
    return Network(**(fields | changes))  # type: ignore[arg-type]  # the point of the helper is to break fields


def build_random_decision(rng: np.random.Generator) -> Decision:
    """One logit or several; any classes rejected, sometimes all."""
    outputs = int(rng.choice([1, 1, 2, 3, 32]))
    rejects = int(rng.integers(1, 1 << outputs))
    everything = outputs > 1 and rejects == (1 << outputs) - 1
    return Decision(outputs, rejects, 0 if everything else int(rng.integers(-5000, 5000)))


def build_random_network(seed: int) -> Network:
    """A network of random shape and numbers: dense layers, or convolution (and pooling) before them."""
    rng = np.random.default_rng(seed)
    width = int(rng.integers(1, 40))
    layers: list[Conv | Dense | SumPool] = []
    channels, length = 1, width
    for _ in range(int(rng.integers(0, 3))):
        kernel, stride, outputs = int(rng.integers(1, length + 1)), int(rng.integers(1, 4)), int(rng.integers(1, 6))
        conv = Conv(channels, outputs, kernel, stride, _multiplier(rng), *_parameters(rng, outputs, channels * kernel))
        channels, length = outputs, conv.length_after(length)
        layers.append(conv)
    if rng.integers(0, 2):
        layers.append(SumPool(channels, length))
        length = 1
    for _ in range(int(rng.integers(0, 3))):
        outputs = int(rng.integers(1, 9))
        layers.append(
            Dense(channels * length, outputs, _multiplier(rng), *_parameters(rng, outputs, channels * length))
        )
        channels, length = outputs, 1
    decision = build_random_decision(rng)
    layers.append(Dense(channels * length, decision.outputs, 0, *_parameters(rng, decision.outputs, channels * length)))
    scales = tuple(_scale(rng) for _ in range(width if rng.integers(0, 2) else 1))
    return Network(width, int(rng.integers(0, 10)), decision, scales, tuple(layers))


def _multiplier(rng: np.random.Generator) -> int:
    return int(2 ** rng.uniform(8, 31)) - 1


def _parameters(rng: np.random.Generator, outputs: int, inputs: int) -> tuple[tuple[int, ...], bytes]:
    weights = rng.integers(-127, 128, outputs * inputs, dtype=np.int8)
    reach = int(2 ** rng.uniform(0, 30))  # past 2^24 the float32 path is not exact and must not be taken
    return tuple(int(bias) for bias in rng.integers(-reach, reach + 1, outputs)), weights.tobytes()


def _scale(rng: np.random.Generator) -> Scale:
    reach = int(2 ** rng.uniform(0, 53)) - 1
    return Scale(int(rng.integers(-reach, reach + 1)), int(rng.integers(1, 256)), int(rng.integers(0, 63)))


def tiny_rocket(**changes: object) -> Rocket:
    """Nine columns and one kernel on all of them: how often twice the first three exceeds the other six."""
    fields: dict[str, object] = {
        "width": 9,
        "decimals": 0,
        "decision": Decision(outputs=1, rejects=1, threshold=10),
        "scales": (Scale(zero=0, multiplier=1, shift=0),),
        "biases": (3,),
        "sections": (Section(1, padded=False, features=(Feature(0, 0, (20,)),)),),
    }
    return Rocket(**(fields | changes))  # type: ignore[arg-type]  # the point of the helper is to break fields


def build_random_rocket(seed: int) -> Rocket:
    """A rocket model of random width, dilations and features."""
    rng = np.random.default_rng(seed)
    width, decision = int(rng.integers(9, 60)), build_random_decision(rng)
    keys = {(int(rng.integers(1, (width - 1) // 8 + 1)), bool(rng.integers(0, 2))) for _ in range(rng.integers(1, 5))}
    sections = tuple(Section(*key, _features(rng, decision.outputs)) for key in sorted(keys))
    reach = int(2 ** rng.uniform(0, 30))
    biases = tuple(int(bias) for bias in rng.integers(-reach, reach + 1, decision.outputs))
    scales = tuple(_scale(rng) for _ in range(width if rng.integers(0, 2) else 1))
    return Rocket(width, int(rng.integers(0, 10)), decision, scales, biases, sections)


def _features(rng: np.random.Generator, outputs: int) -> tuple[Feature, ...]:
    keys = {(int(rng.integers(0, 84)), int(rng.integers(-1524, 1524))) for _ in range(rng.integers(1, 9))}
    weights = rng.integers(-32767, 32768, (len(keys), outputs)) | 1
    return tuple(Feature(*key, tuple(row)) for key, row in zip(sorted(keys), weights.tolist(), strict=True))


def tones(rows: int, count: int, seed: int = 7, width: int = 40) -> Problem:
    """Noise, and noise with a tone at a random phase; the third class has a tone of another pitch."""
    rng = np.random.default_rng(seed)
    classes = np.arange(rows) % count
    pitches = np.array([0, 1.1, 0.4])[classes][:, np.newaxis]
    tone = np.sin(np.arange(width) * pitches + rng.uniform(0, 2 * np.pi, (rows, 1))) * 2
    values = rng.normal(size=(rows, width)) + tone * (classes > 0)[:, np.newaxis]
    return Problem(values, classes, count, (1.0,) * count)


def table(rows: int, count: int, seed: int = 8) -> Problem:
    """Columns in very different units. The first two decide; one is constant."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(rows, 4)) * [1e-3, 1e6, 1, 0] + [0.5, -4e6, 0, 3]
    score = (values[:, 0] - 0.5) * 1e3 + (values[:, 1] + 4e6) / 1e6
    edges = [0.0] if count == 2 else [-0.6, 0.6]
    return Problem(values, np.searchsorted(edges, score), count, (1.0,) * count)


def random_inputs(model: Model, rows: int, seed: int) -> NDArray[np.int8]:
    """int8 inputs (rows, width), including extreme values."""
    rng = np.random.default_rng(seed)
    inputs = rng.integers(-127, 128, (rows, model.width), dtype=np.int8)
    inputs[rng.random(inputs.shape) < 0.1] = 127
    return inputs


networks = st.integers(0, 2**32 - 1).map(build_random_network)
rockets = st.integers(0, 2**32 - 1).map(build_random_rocket)
models = networks | rockets


def ford_a_rows(negatives: int, positives: int, width: int = 500) -> bytes:
    """A file in the form of FordA, with that many windows of each label."""
    lines = [f"{label}\t" + "\t".join(["0.5"] * width) for label in [-1] * negatives + [1] * positives]
    return ("\n".join(lines) + "\n").encode()


def pin_ford_a(monkeypatch: pytest.MonkeyPatch, wheel: str, train: bytes, test: bytes) -> None:
    """Makes a wheel and its two files the pinned ones."""
    monkeypatch.setattr(data, "WHEEL_SHA256", wheel)
    for name, content in (("TRAIN", train), ("TEST", test)):
        digest = hashlib.sha256(content).hexdigest()
        monkeypatch.setattr(data, name, data._Part(f"FordA_{name}.tsv", digest, negatives=2, positives=1))
