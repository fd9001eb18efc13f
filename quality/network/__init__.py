"""The family of small networks: dense and convolutional layers with int8 weights, trained in torch and quantised."""

from __future__ import annotations

from millmark.quality.network.records import FLOAT32_EXACT, Conv, Dense, Layer, Network, SumPool, worst_sums

__all__ = ["FLOAT32_EXACT", "Conv", "Dense", "Layer", "Network", "SumPool", "worst_sums"]
