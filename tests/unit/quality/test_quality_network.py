"""The rules of a network that bytes cannot show."""

from __future__ import annotations

import pytest
from hypothesis import given

from millmark.quality import Conv, Dense, ModelError, Network, Scale, SumPool
from millmark.quality.network import worst_sums
from tests.support.quality_samples import networks, tiny_network


def test_worst_sums_by_hand() -> None:
    conv = Conv(1, 2, kernel=2, stride=1, multiplier=1, biases=(5, -60), weights=b"\x03\xff\x00\x02")
    layers = (conv, SumPool(2, 4), Dense(2, 1, 0, (-7,), b"\x7f\x81"))
    assert worst_sums(layers) == (4 * 127 + 5, 4 * 127, 254 * 4 * 127 + 7)


def test_biases_and_weights_must_match_the_dimensions() -> None:
    with pytest.raises(ModelError, match="2 biases for 1 outputs"):
        Dense(1, 1, 0, (1, 2), b"\x01")
    with pytest.raises(ModelError, match="2 weight bytes, its dimensions ask for 6"):
        Conv(1, 2, kernel=3, stride=1, multiplier=1, biases=(1, 2), weights=b"\x01\x02")


def test_a_sum_at_the_limit_is_refused_and_one_below_is_not() -> None:
    def network(bias: int) -> Network:
        return tiny_network(layers=(Dense(2, 1, 0, (bias,), b"\x01\x01"),))

    assert worst_sums(network(2**31 - 1 - 254).layers) == (2**31 - 1,)
    with pytest.raises(ModelError, match="can reach 2147483648"):
        network(2**31 - 254)


@pytest.mark.parametrize("changes", [{"decimals": 10}, {"width": 3}, {"scales": (Scale(0, 1, 0),) * 3}, {"layers": ()}])
def test_fields_out_of_range_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ModelError):
        tiny_network(10, **changes)


@given(networks)
def test_worst_sums_fit_int32(network: Network) -> None:
    assert max(worst_sums(network.layers)) < 2**31
