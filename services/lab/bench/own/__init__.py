"""Millmark's sides of the comparisons of scripts/bench, beside those in `peers`."""
