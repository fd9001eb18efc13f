"""The table of `scripts/bench`: every figure of Millmark that has a peer or a reach, measured in one run.

rows.py declares the rows. Each is measured in a process of its own, within a budget of time; a side of a comparison is
again a process of its own, Millmark's in `own`, peers' in `peers`, asked in turns.
"""
