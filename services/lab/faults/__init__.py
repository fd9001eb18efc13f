"""The fault lab: a set of unique events, a real chain in a process of its own, and what can go wrong between.

Each event is acknowledged, failed or unknown to its sender; at the end the ledger itself is read. Lost, doubled or made
up events are counted, and the index is compared with a fresh replay and with the heads in the contract. `runs` has the
faults by name.
"""
