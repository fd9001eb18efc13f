"""Choice models: known coefficients are found again, and data that determine nothing lead to a note."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from millmark.quality.errors import InputError
from millmark.quality.preference import Choices, build_choices
from millmark.quality.preference.choices import normal_draws
from millmark.quality.preference.logit import fit_logit

Integers = NDArray[np.int64]
NAMES, SCALES = ("b", "c", "days", "price"), (1, 1, 10, 100)


def draw(count: int = 1500, seed: int = 3, spread: float = 0.0, repeated: int = 1) -> Choices:
    """Choices of people who weigh days by -0.8 (10 days) and price by -1.2 (100 cents)."""
    random = np.random.default_rng(seed)
    values = np.zeros((count, 3, 4), dtype=np.int64)
    values[:, 1, 0] = values[:, 2, 1] = 1
    values[:, :, 2] = random.integers(1, 40, (count, 3))
    values[:, :, 3] = random.integers(50, 400, (count, 3))
    people = np.arange(count) // repeated
    own = (-0.8 + spread * random.normal(size=count))[people]
    utility = values[:, :, 0] * 0.5 + values[:, :, 1] * -0.3 + own[:, None] * values[:, :, 2] / 10
    utility = utility - 1.2 * values[:, :, 3] / 100 + random.gumbel(size=(count, 3))
    available = np.ones((count, 3), dtype=bool)
    available[:, 0] = random.random(count) < 0.8
    return build_choices(values, available, np.where(available, utility, -np.inf).argmax(1), NAMES, SCALES, people)


def test_known_coefficients_are_found_again_with_their_errors() -> None:
    fitted = fit_logit(draw())
    assert fitted.covariance is not None
    errors = np.sqrt(np.diag(fitted.covariance))
    assert (np.abs(fitted.coefficients - [0.5, -0.3, -0.8, -1.2]) < 3.5 * errors).all()
    ratio = fitted.ratio("days", "price")  # cents for a day less
    assert ratio.error is not None
    assert abs(ratio.value - 0.08 / 0.012) < 3.5 * ratio.error
    assert fitted.notes == ()


def test_differences_between_people_are_found() -> None:
    choices = draw(2000, spread=0.8, repeated=5)
    plain, mixed = fit_logit(choices), fit_logit(choices, ("days",), draws=60)
    assert mixed.log_likelihood > plain.log_likelihood + 20
    assert mixed.deviations[2] == pytest.approx(0.8, abs=0.25)
    assert mixed.coefficients[2] == pytest.approx(-0.8, abs=0.2)
    assert fit_logit(choices, ("days",), draws=60).coefficients.tolist() == mixed.coefficients.tolist()


def test_where_people_do_not_differ_mixed_logit_is_no_worse() -> None:
    choices = draw(600)
    assert fit_logit(choices, ("days",), draws=40).log_likelihood >= fit_logit(choices).log_likelihood


def test_without_choices_every_available_alternative_is_as_likely() -> None:
    choices = draw(6)
    fitted = fit_logit(choices.pick([]))
    assert fitted.notes == ("no choice yet: every available alternative counts as equally likely",)
    shares = fitted.shares(choices)
    np.testing.assert_allclose(shares, choices.available / choices.available.sum(1, keepdims=True))


def test_an_unavailable_alternative_that_was_taken_is_refused() -> None:
    there = np.array([[True, False], [True, True]])
    with pytest.raises(InputError, match=r"choice 1 took alternative 1, which was not available; correct its avail"):
        build_choices(np.zeros((2, 2, 1), dtype=np.int64), there, np.array([1, 0]), ("price",))


def test_an_alternative_that_nobody_took_is_said_and_keeps_a_small_share() -> None:
    choices = draw(900)
    kept = choices.pick(np.flatnonzero(choices.chosen != 2))
    fitted = fit_logit(kept)
    assert fitted.notes == ("nobody took alternative 2: coefficients are held back, and have no standard errors",)
    assert fitted.covariance is None
    assert np.isfinite(fitted.coefficients).all()
    assert 0 < fitted.shares(kept)[:, 2].mean() < 0.05


def test_perfect_separation_is_said() -> None:
    random = np.random.default_rng(1)
    values = random.integers(1, 50, (300, 2, 1))
    values[:, 1] += values[:, 0] == values[:, 1]
    fitted = fit_logit(build_choices(values, np.ones((300, 2), dtype=bool), values[:, :, 0].argmin(1), ("price",)))
    assert fitted.notes == (
        "the attributes decide the choices without exception: coefficients are held back, and have no standard errors",
    )
    assert fitted.coefficients[0] < 0
    assert np.isfinite(fitted.coefficients).all()


def test_collinear_attributes_are_left_out_by_name() -> None:
    choices = draw(400)
    doubled = np.concatenate(
        [choices.attributes, 2 * choices.attributes[:, :, 3:], np.ones_like(choices.attributes[:, :, :1])], 2
    )
    made = build_choices(doubled, choices.available, choices.chosen, (*NAMES, "twice", "same"), (*SCALES, 1, 1))
    fitted = fit_logit(made)
    assert fitted.notes == (
        "twice follows from the others: left out",
        "same is the same for all alternatives: left out",
    )
    assert fitted.log_likelihood == pytest.approx(fit_logit(choices).log_likelihood)
    with pytest.raises(InputError, match="twice has no effect in this model"):
        fitted.ratio("days", "twice")


def test_few_choices_are_held_back_towards_equal_shares() -> None:
    fitted = fit_logit(draw(12))
    assert "12 choices for 4 coefficients: held back towards equal shares" in fitted.notes
    assert (np.abs(fitted.coefficients) < 3).all()


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"chosen": np.array([3, 0])}, "a choice is none of the 2 alternatives"),
        ({"names": ("a", "b")}, "1 attributes need as many names"),
        ({"scales": (0,)}, "1 attributes need as many names"),
        ({"attributes": np.zeros((2, 2, 1))}, "attributes and choices must be integers"),
        ({"available": np.ones((2, 3), dtype=bool)}, "do not go with"),
        ({"people": np.array([1])}, "people lists 1 for 2 choices"),
    ],
)
def test_what_is_malformed_is_refused(change: dict[str, object], cause: str) -> None:
    given: dict[str, object] = {
        "attributes": np.zeros((2, 2, 1), dtype=np.int64),
        "available": np.ones((2, 2), dtype=bool),
        "chosen": np.array([0, 1]),
        "names": ("price",),
    }
    with pytest.raises(InputError, match=cause):
        build_choices(**{**given, **change})  # type: ignore[arg-type]  # what is given is wrong on purpose


def test_draws_are_the_same_everywhere_and_normal() -> None:
    draws = normal_draws(500, 3, 1)
    assert draws.tolist() == normal_draws(500, 3, 1).tolist()
    assert abs(draws.mean(0)).max() < 0.05
    assert abs(draws.std(0) - 1).max() < 0.05
    assert draws.tolist() != normal_draws(500, 3, 2).tolist()
