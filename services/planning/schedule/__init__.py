"""Makes plans: slot prices, list scheduling, local search, and CP-SAT where the extra `planning` is installed."""

from millmark.services.planning.schedule.make import Made, has_solver, make_plan
from millmark.services.planning.schedule.replan import Replan

__all__ = ["Made", "Replan", "has_solver", "make_plan"]
