"""The evaluators agree byte for byte, whatever the network, the batch and the number of threads."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from millmark.quality import Conv, Dense, InferenceError, InputError, Model, Network, Scale, SumPool, parse_model
from millmark.quality.evaluate import EVALUATORS, load_evaluator
from millmark.quality.evaluate.scaling import multiply, pack_windows
from millmark.quality.inference import MAX_FIXED, pack_window
from millmark.quality.network import arrays, records, worst_sums
from tests.support.quality_samples import MODELS, models, networks, random_inputs, tiny_network

Words = NDArray[np.signedinteger]


def infer(name: str, model: Model, inputs: Words) -> NDArray[np.int32]:
    return load_evaluator(name)(model)(inputs)


@settings(max_examples=150, deadline=None)
@given(models, st.integers(0, 2**32 - 1))
def test_all_evaluators_agree(network: Model, seed: int) -> None:
    inputs = random_inputs(network, 5, seed)
    expected = infer("python", network, inputs)
    assert expected.shape == (5, network.decision.outputs)
    assert expected.dtype.name == "int32"
    assert infer("numpy", network, inputs).tobytes() == expected.tobytes()
    assert infer("torch", network, inputs).tobytes() == expected.tobytes()


@settings(max_examples=20, deadline=None)
@given(models, st.integers(0, 2**32 - 1))
def test_inputs_may_run_backwards(network: Model, seed: int) -> None:
    backwards = random_inputs(network, 3, seed)[::-1, ::-1]
    expected = infer("python", network, backwards)
    for name in ("numpy", "torch"):
        assert infer(name, network, backwards).tobytes() == expected.tobytes()


@pytest.mark.parametrize("multiplier", [1, 2**22 - 1, 2**23, 2**24 + 1, 2**31 - 1])
@pytest.mark.parametrize("bias", [0, 63, -(2**29), 2**29 - 77])
def test_sums_on_both_sides_of_what_float64_holds_are_scaled_alike(bias: int, multiplier: int) -> None:
    layers = (Dense(2, 1, multiplier, (bias,), b"\x7f\x81"), Dense(1, 1, 0, (0,), b"\x01"))
    network = tiny_network(width=2, layers=layers)
    inputs = np.array([[a, b] for a in range(-127, 128, 2) for b in (-127, -1, 0, 1, 127)], dtype=np.int8)
    expected = infer("python", network, inputs)
    assert infer("torch", network, inputs).tobytes() == expected.tobytes()
    assert infer("numpy", network, inputs).tobytes() == expected.tobytes()


@settings(max_examples=150, deadline=None)
@given(networks, st.data())
def test_both_quantisers_agree(network: Network, data: st.DataObject) -> None:
    values = (
        st.integers(-MAX_FIXED, MAX_FIXED) | st.integers(-(10**7), 10**7) | st.sampled_from([-MAX_FIXED, MAX_FIXED])
    )
    window = data.draw(st.lists(values, min_size=network.width, max_size=network.width))
    quantised = arrays.quantise(network, np.array([window], dtype=np.int64))
    assert quantised.dtype == np.int8
    assert tuple(quantised[0].tolist()) == records.quantise_row(network, window)
    assert pack_windows(np.array([window], dtype=np.int64)) == [pack_window(window)]


def read_ford_a() -> Network:
    network = parse_model((MODELS / "forda.bin").read_bytes())
    assert isinstance(network, Network)
    return network


def test_a_network_by_hand() -> None:
    conv = Conv(1, 2, kernel=2, stride=2, multiplier=2**23, biases=(0, -10), weights=b"\x01\x02\xff\x03")
    layers = (conv, SumPool(2, 2), Dense(2, 1, 0, (100,), b"\x03\xfe"))
    network = tiny_network(width=5, layers=layers)
    # Channel 0: sums 3 + 8 and -5 + 0, halved and rounded to 6 and, being negative, 0.
    # Channel 1: sums -3 + 12 - 10 and 5 + 0 - 10; -1 / 2 rounds up to 0, since the half is added before the floor.
    # The fifth value is under no kernel. Pooled 6 and 0; logit 3 * 6 - 2 * 0 + 100.
    inputs = np.array([[3, 4, -5, 0, 99]], dtype=np.int8)
    for name in EVALUATORS:
        assert infer(name, network, inputs).tolist() == [[118]]


def test_quantising_by_hand() -> None:
    network = tiny_network(scales=(Scale(zero=10, multiplier=3, shift=1), Scale(zero=-1, multiplier=255, shift=0)))
    # (11 - 10) * 3 = 3, plus half is 4, halved is 2; (-1 + 1) * 255 = 0. Below zero the shift rounds down.
    assert records.quantise_row(network, [11, -1]) == (2, 0)
    assert records.quantise_row(network, [9, 0]) == (-1, 127)


def test_sums_past_float32_leave_the_float32_path() -> None:
    # 2^24 + 1 is the first integer that float32 lacks.
    network = tiny_network(layers=(Dense(2, 1, 0, (2**24,), b"\x01\x00"),))
    assert worst_sums(network.layers)[0] > 2**24
    inputs = np.array([[1, 0]], dtype=np.int8)
    assert infer("torch", network, inputs).tolist() == [[2**24 + 1]]


@pytest.mark.parametrize("batch", [1, 7, 64, 512])
@pytest.mark.parametrize("threads", [1, 2])
def test_torch_is_the_same_for_every_batch_and_thread_count(batch: int, threads: int) -> None:
    network = read_ford_a()
    inputs = random_inputs(network, 512, seed=3)
    expected = infer("numpy", network, inputs)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        # With single windows a part of the rows says as much.
        rows = 64 if batch == 1 else 512
        parts = [infer("torch", network, inputs[at : at + batch]) for at in range(0, rows, batch)]
    finally:
        torch.set_num_threads(before)
    assert np.concatenate(parts).tobytes() == expected[:rows].tobytes()


@pytest.mark.parametrize("batch", [1, 7, 64])
def test_numpy_is_the_same_for_every_batch(batch: int) -> None:
    network = read_ford_a()
    inputs = random_inputs(network, 64, seed=4)
    parts = [infer("numpy", network, inputs[at : at + batch]) for at in range(0, 64, batch)]
    assert np.concatenate(parts).tobytes() == infer("numpy", network, inputs).tobytes()


def test_python_agrees_on_the_committed_model() -> None:
    network = read_ford_a()
    inputs = random_inputs(network, 8, seed=5)
    assert infer("python", network, inputs).tobytes() == infer("numpy", network, inputs).tobytes()


@pytest.mark.parametrize("name", EVALUATORS)
@pytest.mark.parametrize(
    "inputs", [np.array([[-128, 0]], dtype=np.int8), np.zeros((1, 3), dtype=np.int8)], ids=["-128", "width"]
)
def test_inputs_of_another_model_are_refused(name: str, inputs: np.typing.NDArray[np.int8]) -> None:
    with pytest.raises(InputError):
        infer(name, tiny_network(), inputs)


@pytest.mark.parametrize("name", EVALUATORS)
def test_no_windows_give_no_logits(name: str) -> None:
    assert infer(name, tiny_network(), np.zeros((0, 2), dtype=np.int8)).shape == (0, 1)


@pytest.mark.parametrize("window", [[1], [1, 2, 3], [2**53, 0], [0, -(2**53)]])
def test_windows_out_of_range_are_refused(window: list[int]) -> None:
    with pytest.raises(InputError):
        records.quantise_row(tiny_network(), window)
    with pytest.raises(InputError):
        arrays.quantise(tiny_network(), np.array([window], dtype=np.int64))


@pytest.mark.filterwarnings("ignore:Please use the new API settings:UserWarning")  # torch 2.9 warns of this setting
@pytest.mark.parametrize("mode", ["high", "medium"])
def test_reduced_precision_is_refused(mode: str) -> None:
    """The first allows TF32, the second bfloat16."""
    torch.set_float32_matmul_precision(mode)
    try:
        with pytest.raises(InferenceError, match="reduced matrix precision"):
            infer("torch", tiny_network(), np.zeros((1, 2), dtype=np.int8))
    finally:
        torch.set_float32_matmul_precision("highest")


@pytest.mark.parametrize("mode", ["tf32", "bf16"])
def test_reduced_precision_by_the_newer_settings_is_refused(mode: str) -> None:
    products = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]  # set at import, unknown to torch's stubs
    products.fp32_precision = mode
    try:
        with pytest.raises(InferenceError, match=rf"reduced matrix precision \({mode}\)"):
            infer("torch", tiny_network(), np.zeros((1, 2), dtype=np.int8))
    finally:
        products.fp32_precision = "ieee"


def test_a_reduced_precision_of_the_library_below_torch_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEDNN_DEFAULT_FPMATH_MODE", "BF16")
    with pytest.raises(InferenceError, match="oneDNN may compute in BF16; unset ONEDNN_DEFAULT_FPMATH_MODE"):
        infer("torch", tiny_network(), np.zeros((1, 2), dtype=np.int8))


def test_autocast_changes_nothing() -> None:
    network = read_ford_a()
    inputs = random_inputs(network, 4, seed=6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert infer("torch", network, inputs).tobytes() == infer("numpy", network, inputs).tobytes()


def test_an_unknown_evaluator_is_named() -> None:
    with pytest.raises(InputError, match="unknown evaluator 'abacus'; choose one of numpy, python, torch"):
        load_evaluator("abacus")


def test_a_product_never_warns_and_what_is_no_number_is_refused_where_it_becomes_an_integer() -> None:
    product = multiply(np.array([[np.inf]]), np.array([[0.0]]))
    with pytest.raises(RuntimeWarning, match="invalid value encountered in cast"):
        product.astype(np.int64)
