"""Mutation testing: changes the code in one place at a time, and shows which changes no test notices.

`python_mutants` and `solidity_mutants` say what is changed; `forks` runs Python's unit tests on a mutant, and `forge`
the Solidity suite; `kept` holds the counts, and why a mutant that survives does no harm; `command` is `scripts/prove
mutants`.
"""
