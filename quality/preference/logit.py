"""Fits logit models by maximum likelihood in Torch, in double precision.

Multinomial logit is the case without random coefficients; its likelihood is concave, and Newton's method finds the one
maximum. With random coefficients (mixed logit: Train 2009, chapter 6) the likelihood is simulated with the draws of
`millmark.quality.preference.choices`, the same in every run, and maximised by L-BFGS from the multinomial logit on.

Some data do not determine a coefficient. Attributes that follow from others are left out. Where a coefficient would
grow without end (an alternative that nobody took, choices that one attribute decides), all are held back by a penalty,
as they are where there are few choices. The notes say so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from millmark.quality.errors import InputError
from millmark.quality.preference.choices import Choices, Fitted, normal_draws

DRAWS, SEED = 200, 1
_ENOUGH = 10
"""Choices for each coefficient, below which they are held back."""
_PENALTY = 1.0
_STEPS, _HALVINGS = 60, 30
_SMALL = 1e-10
_TOO_FAR = 25.0
"""Differences of utility beyond this mean that a choice is certain to ten digits."""
_MIXED_STEPS = 60


def fit_logit(
    choices: Choices,
    random: Sequence[str] = (),
    *,
    draws: int = DRAWS,
    seed: int = SEED,
    held_back: Sequence[str] = (),
) -> Fitted:
    """Fits coefficients to choices. `random`: attributes whose coefficient differs between people, by a normal
    distribution. `held_back`: attributes whose coefficients are penalised in any case, such as constants of
    alternatives that few take. Without any choice all coefficients are 0: every available alternative is as likely as
    every other. Raises InputError for an unknown attribute."""
    unknown = [name for name in (*random, *held_back) if name not in choices.names]
    if unknown:
        raise InputError(
            f"the choices have no attribute {unknown[0][:40]!r}", hint=f"they have {', '.join(choices.names)}"
        )
    if not len(choices):
        return _nothing(choices, draws, seed)
    kept, notes = _independent(choices)
    penalties = np.array([_PENALTY if name in held_back else 0.0 for name in choices.names])[kept]
    fitted = _fit_multinomial(choices, kept, penalties, notes, draws, seed)
    places = [choices.names.index(name) for name in random if kept[choices.names.index(name)]]
    return _fit_mixed(choices, kept, places, fitted) if places else fitted


def _nothing(choices: Choices, draws: int, seed: int) -> Fitted:
    zeros = np.zeros(len(choices.names))
    note = "no choice yet: every available alternative counts as equally likely"
    return Fitted(choices.names, choices.scales, zeros, zeros, None, 0.0, 0, draws, seed, (note,))


def _independent(choices: Choices) -> tuple[NDArray[np.bool_], list[str]]:
    """Which attributes to keep, so that none follows from those before it within the sets of alternatives."""
    values, weights = choices.scaled(), choices.available[:, :, None].astype(np.float64)
    means = (values * weights).sum(axis=1, keepdims=True) / weights.sum(axis=1, keepdims=True)
    differences = ((values - means) * weights).reshape(-1, len(choices.names))
    gram = differences.T @ differences
    kept = np.zeros(len(choices.names), dtype=bool)
    notes = []
    for place, name in enumerate(choices.names):
        rest = gram[place, place]
        if kept.any():
            onto = np.linalg.lstsq(gram[np.ix_(kept, kept)], gram[kept, place], rcond=None)[0]
            rest -= float(gram[kept, place] @ onto)
        kept[place] = gram[place, place] > 0 and rest > 1e-9 * gram[place, place]
        if not kept[place]:
            why = "follows from the others" if gram[place, place] > 0 else "is the same for all alternatives"
            notes.append(f"{name} {why}: left out")
    return kept, notes


def _fit_multinomial(
    choices: Choices, kept: NDArray[np.bool_], penalties: NDArray[np.float64], notes: list[str], draws: int, seed: int
) -> Fitted:
    values = torch.from_numpy(choices.scaled()[:, :, kept])
    few = len(choices) < _ENOUGH * int(kept.sum())
    if few:
        penalties = np.maximum(penalties, _PENALTY)
        notes.append(f"{len(choices)} choices for {int(kept.sum())} coefficients: held back towards equal shares")
    found, bounded = _newton(values, choices, penalties)
    if not bounded and not few:
        penalties = np.maximum(penalties, _PENALTY)
        notes.append(f"{_separated(choices)}: coefficients are held back, and have no standard errors")
        found, _ = _newton(values, choices, penalties)
    log_likelihood, _, information = _derivatives(values, choices, found)
    whole = np.zeros(len(choices.names))
    whole[kept] = found.numpy()
    covariance = None
    if bounded and not few:
        # With coefficients held back, the posterior's covariance at its mode (Laplace).
        covariance = np.zeros((len(choices.names),) * 2)
        weighed = information + torch.diag(torch.from_numpy(penalties))
        covariance[np.ix_(kept, kept)] = torch.linalg.inv(weighed).numpy()
    return Fitted(
        choices.names, choices.scales, whole, np.zeros_like(whole), covariance, float(log_likelihood), len(choices),
        draws, seed, tuple(notes),
    )  # fmt: skip


def _newton(values: torch.Tensor, choices: Choices, penalties: NDArray[np.float64]) -> tuple[torch.Tensor, bool]:
    """The maximum, and whether it was reached at finite coefficients."""
    weights = torch.from_numpy(penalties)
    at = torch.zeros(values.shape[2], dtype=torch.float64)
    for _ in range(_STEPS):
        value, slope, information = _derivatives(values, choices, at)
        value, slope = value - (weights * at**2).sum() / 2, slope - weights * at
        step = torch.linalg.lstsq(information + torch.diag(weights), slope[:, None], driver="gelsd").solution[:, 0]
        for halving in range(_HALVINGS):
            tried = at + step / 2**halving
            now = _derivatives(values, choices, tried)[0] - (weights * tried**2).sum() / 2
            if now >= value:
                break
        else:
            break  # no step improves any more: rounding decides
        at = tried
        utilities = values @ at
        if (penalties == 0).any() and float((utilities.max(1).values - utilities.min(1).values).median()) > _TOO_FAR:
            return at, False
        if float(now - value) <= _SMALL * (1 + abs(float(value))):
            break
    # Where a coefficient goes to infinity the likelihood goes flat: there is hardly any information on it left.
    information = _derivatives(values, choices, at)[2] + torch.diag(weights)
    spread = values.reshape(-1, values.shape[2]).std(0) ** 2
    known = torch.linalg.eigvalsh(information / torch.sqrt(torch.outer(spread, spread)).clamp_min(1e-300)).min()
    return at, float(known) > 1e-3


def _derivatives(values: torch.Tensor, choices: Choices, at: torch.Tensor) -> tuple[Any, Any, Any]:
    """Log-likelihood, its gradient, and the information matrix (less the second derivatives)."""
    available = torch.from_numpy(choices.available)
    utilities = (values @ at).masked_fill(~available, -torch.inf)
    logs = torch.log_softmax(utilities, 1)
    places = torch.arange(len(choices))
    taken = torch.from_numpy(choices.chosen)
    shares = logs.exp()
    means = (shares[:, :, None] * values).sum(1)
    slope = (values[places, taken] - means).sum(0)
    centred = (values - means[:, None, :]) * shares.sqrt()[:, :, None]
    information = torch.einsum("njk,njl->kl", centred, centred)
    return logs[places, taken].sum(), slope, information


def _separated(choices: Choices) -> str:
    counts = np.bincount(choices.chosen, minlength=choices.available.shape[1])
    never = [str(place) for place in np.flatnonzero(counts == 0)]
    if never:
        return f"nobody took alternative{'s' if len(never) > 1 else ''} {', '.join(never)}"
    return "the attributes decide the choices without exception"


def _fit_mixed(choices: Choices, kept: NDArray[np.bool_], places: Sequence[int], start: Fitted) -> Fitted:
    """Adds a standard deviation to some coefficients. People's choices share their coefficients."""
    values = torch.from_numpy(choices.scaled())
    drawn = torch.from_numpy(normal_draws(start.draws, len(choices.names), start.seed))
    free = torch.from_numpy(np.flatnonzero(kept))
    mean = torch.tensor(start.coefficients[kept], dtype=torch.float64, requires_grad=True)
    wide = torch.full((len(places),), 0.1, dtype=torch.float64, requires_grad=True)
    # In a run with penalties the simulated likelihood has them too: it would have no maximum otherwise.
    penalty = 0.0 if start.covariance is not None else _PENALTY

    def loss() -> torch.Tensor:
        found = _simulated(values, choices, drawn, (mean, free), (wide, places))
        return -found + penalty * ((mean**2).sum() + (wide**2).sum()) / 2

    optimiser = torch.optim.LBFGS(
        [mean, wide], max_iter=_MIXED_STEPS, line_search_fn="strong_wolfe", tolerance_change=1e-9
    )

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        value = loss()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        reached = -float(loss()) + penalty * float((mean**2).sum() + (wide**2).sum()) / 2
    if not reached > start.log_likelihood:
        return replace(start, notes=(*start.notes, "no difference between people was found: multinomial logit"))
    whole, deviations = np.zeros(len(choices.names)), np.zeros(len(choices.names))
    whole[kept], deviations[list(places)] = mean.detach().numpy(), np.abs(wide.detach().numpy())
    return replace(
        start, coefficients=whole, deviations=deviations, log_likelihood=reached,
        covariance=_covariance(values, choices, drawn, (mean, free), (wide, places)) if penalty == 0 else None,
    )  # fmt: skip


def _simulated(
    values: torch.Tensor,
    choices: Choices,
    drawn: torch.Tensor,
    means: tuple[torch.Tensor, torch.Tensor],
    deviations: tuple[torch.Tensor, Sequence[int]],
) -> torch.Tensor:
    """Simulated log-likelihood: for each person the mean over the draws of the product over its choices."""
    whole = torch.zeros(values.shape[2], dtype=torch.float64).index_copy(0, means[1], means[0])
    spread = torch.zeros_like(whole).index_copy(0, torch.tensor(deviations[1]), deviations[0])
    # All draws at once: N x J x K times K x R.
    utilities = values @ (whole[:, None] + spread[:, None] * drawn.T)
    hidden = torch.from_numpy(~choices.available)[:, :, None]
    logs = torch.log_softmax(utilities.masked_fill(hidden, -torch.inf), 1)
    taken = torch.from_numpy(choices.chosen)
    of_taken = logs[torch.arange(len(choices)), taken]
    people = torch.from_numpy(choices.people)
    together = torch.zeros((int(people.max()) + 1, drawn.shape[0]), dtype=torch.float64).index_add(0, people, of_taken)
    return (torch.logsumexp(together, 1) - float(np.log(drawn.shape[0]))).sum()


def _covariance(
    values: torch.Tensor,
    choices: Choices,
    drawn: torch.Tensor,
    means: tuple[torch.Tensor, torch.Tensor],
    deviations: tuple[torch.Tensor, Sequence[int]],
) -> NDArray[np.float64] | None:
    """The covariance of the means, from the second derivatives at the maximum; None where they do not determine it."""
    count = len(means[0])

    def at(both: torch.Tensor) -> torch.Tensor:
        return _simulated(values, choices, drawn, (both[:count], means[1]), (both[count:], deviations[1]))

    both = torch.cat([means[0].detach(), deviations[0].detach()])
    second = -torch.autograd.functional.hessian(at, both)  # type: ignore[no-untyped-call]
    try:
        inverse = torch.linalg.inv(second).numpy()
    except RuntimeError:  # singular
        return None
    found = np.zeros((values.shape[2],) * 2)
    found[np.ix_(means[1].numpy(), means[1].numpy())] = inverse[:count, :count]
    return found if np.isfinite(found).all() and (np.diag(found) >= 0).all() else None
