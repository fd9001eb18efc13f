"""Family of small networks: dense and convolutional layers of int8 weights, trained in torch, folded into integers."""

from __future__ import annotations

from quality.network.records import FLOAT32_EXACT, Conv, Dense, Layer, Network, SumPool, worst_sums

__all__ = ["FLOAT32_EXACT", "Conv", "Dense", "Layer", "Network", "SumPool", "worst_sums"]
