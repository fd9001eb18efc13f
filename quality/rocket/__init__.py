"""The family of time-series models: a linear head on counts of how often dilated kernels exceed a bias.

The features are those of MiniRocket (Dempster, Schmidt and Webb, "MiniRocket: A Very Fast (Almost) Deterministic
Transform for Time Series Classification", KDD 2021). They are integers by nature: kernels have nine weights, six of
them -1 and three 2, and features count positions.
"""

from __future__ import annotations

from millmark.quality.rocket.records import KERNELS, Feature, Rocket, Section

__all__ = ["KERNELS", "Feature", "Rocket", "Section"]
