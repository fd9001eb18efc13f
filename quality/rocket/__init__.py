"""Family of time-series models: how often dilated kernels respond beyond a bias, and a linear head on those counts.

The features are those of MiniRocket (Dempster, Schmidt and Webb, "MiniRocket: A Very Fast (Almost) Deterministic
Transform for Time Series Classification", KDD 2021), which are integers by nature: kernels of nine weights, six of
them -1 and three 2, and features that count positions.
"""

from __future__ import annotations

from quality.rocket.records import KERNELS, Feature, Rocket, Section

__all__ = ["KERNELS", "Feature", "Rocket", "Section"]
