"""Feedback: what goes wrong at a machine leads to a setpoint, to a derating, to withdrawn offers and to another plan.

`rules` says what follows from what, and decides without a database. `finding` finds causes in index and book,
`watching` takes them in, `taking` and `replacing` do what follows. FEEDBACK.md is the page for people.
"""
