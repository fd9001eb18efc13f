"""Faults of a network: its validators, the links between them, and the nodes that companies ask.

Every run founds a ledger on validators of a real node program, has four companies record on it, each from a process
with a database and a chain node of its own, and compares what they were told with what a node shows that was never
faulty.
"""
