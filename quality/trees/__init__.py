"""Family of tree ensembles, for tables: integer cuts, fixed-point leaves; trained by LightGBM, exact by comparison.

Evaluating needs numpy or nothing; only `quality.trees.train` imports the library that trains.
"""

from __future__ import annotations

from quality.trees.records import Derived, Forest, Operation, Tree, worst_sums

__all__ = ["Derived", "Forest", "Operation", "Tree", "worst_sums"]
