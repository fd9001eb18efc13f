"""Benchmarks that anybody can repeat with `python -m millmark.quality bench NAME`. RESULTS.md records what they
printed."""
