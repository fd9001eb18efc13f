"""Plans that prove themselves: calls, offers, plans, and their check (PLANS.md).

Integers alone: what is hashed and proved here has no floating point. Imports nothing that opens a socket or database,
and no solver.
"""
