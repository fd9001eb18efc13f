"""Public choices, downloaded where this machine has not kept them, and what is known of them."""

from __future__ import annotations

import pytest

from ledger.errors import InputError
from quality.preference import Choices
from quality.preference.logit import fit_logit
from tests.bench.choice_data import load_choices
from tests.bench.preferences import KNOWN

pytestmark = pytest.mark.integration


def load_swissmetro() -> Choices:
    try:
        return load_choices("swissmetro")
    except InputError as error:
        if "cannot be downloaded" not in str(error):
            raise
        pytest.skip(f"{error}; {error.hint}")


def test_the_known_likelihood_is_reached_within_a_thousandth() -> None:
    """Of the multinomial logit with four parameters on swissmetro, as Biogeme's first example prints it."""
    fitted = fit_logit(load_swissmetro())
    assert fitted.choices == 6768
    assert fitted.log_likelihood == pytest.approx(KNOWN["swissmetro"], abs=1e-3)
    assert fitted.coefficients == pytest.approx([-0.7012, -0.1546, -1.2779, -1.0838], abs=1e-4)
