"""What buyers prefer: choice models over the options of a personalised product, and what they would pay or wait for.

    choices = build_choices(attributes, available, chosen, names, scales)
    fitted = fit_logit(choices)                         multinomial logit
    fitted = fit_logit(choices, random=("time",))       mixed logit: the coefficient differs between people
    fitted.shares(attributes, available), fitted.ratio("co2", "price")

Attributes are integers. Only `millmark.quality.preference.logit` imports torch; shares of what was fitted need numpy
alone. Knows nothing of orders: `millmark.services.planning.forecast.learning` makes the choices of them.
"""

from __future__ import annotations

from millmark.quality.preference.choices import Choices, Fitted, Ratio, build_choices

__all__ = ["Choices", "Fitted", "Ratio", "build_choices"]
