"""How a plan was found, a sentence for each step: pages and commands show them."""

from __future__ import annotations

from millmark.ledger.phrases import Phrase


class MakingStep(Phrase):
    """A step. `able`: accepted rows that can be kept by themselves; `moved`: those of them that move; `least`: as few
    as could be."""

    PRICES = "slot prices: {rounds:d} iterations"
    SEARCH = "local search: {rounds:d} rounds"
    SOLVER_UNUSED = "CP-SAT: not used: on so many offers, or in so little time, local search finds more"
    SOLVER_MISSING = "CP-SAT: not installed (pip install 'millmark[planning]'); the other steps did the work"
    SOLVER_BEST = "CP-SAT: the best plan possible"
    SOLVER_BETTER = "CP-SAT: a better plan"
    SOLVER_NOTHING = "CP-SAT: nothing better"
    MOVES_FEWEST = (
        "CP-SAT: of {able:d} accepted rows that can be kept by themselves {moved:d} move, the fewest possible"
    )
    MOVES = (
        "CP-SAT: of {able:d} accepted rows that can be kept by themselves {moved:d} move, "
        "no fewer than {least:d} possible"
    )
