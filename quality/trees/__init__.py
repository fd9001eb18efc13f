"""The family of tree ensembles, for tables: integer cuts and fixed-point leaves, trained with LightGBM. Comparing and
adding integers is exact. Evaluation needs numpy or nothing at all; only training imports LightGBM."""

from __future__ import annotations

from millmark.quality.trees.records import Derived, Forest, Operation, Tree, worst_sums

__all__ = ["Derived", "Forest", "Operation", "Tree", "worst_sums"]
