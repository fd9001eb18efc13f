"""Benchmarks that anybody can repeat with `python -m quality bench NAME`. RESULTS.md records what they printed."""
