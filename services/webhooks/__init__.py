"""Telling others of records: a feed of CloudEvents, signed webhooks, and who gets what.

Only final records are told, each at least once, in the order of the chain; nothing that was told is taken back.
"""
