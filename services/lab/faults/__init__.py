"""The fault lab: records a set of unique events on a real chain in its own process while it injects faults.

To its sender each event is acknowledged, failed or unknown. At the end the ledger itself is read: lost, duplicated and
invented (phantom) events are counted, and the index is compared with a new replay and with the heads in the contract.
`runs` lists the fault profiles by name.
"""
