"""Deliveries of ledger records to partners: a feed of CloudEvents, signed webhooks, and their subscriptions.

Only final records are delivered, each at least once and in the order of the chain; no delivery is ever withdrawn.
"""
