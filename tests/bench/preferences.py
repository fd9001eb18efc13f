"""`scripts/bench preferences`: choice models on public choices, against known likelihoods and choice-learn.

Five folds, by person where people chose more than once: each is judged by what was fitted to the other four. Whether
coefficients differ between people (mixed logit) is decided within those four.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ledger.errors import InputError
from quality.preference import Choices, Fitted
from quality.preference.logit import fit_logit
from tests.bench import choice_peer
from tests.bench.choice_data import load_choices

__all__ = ["KNOWN", "Judged", "compare_choices"]

FOLDS: Final = 5
_DRAWS: Final = 60
_TIMEOUT_S: Final = 1800
KNOWN: Final = {"swissmetro": -5331.252}
"""Log-likelihood of the multinomial logit at its maximum, as Biogeme's first example prints it."""
RANDOM: Final = {
    "swissmetro": ("time", "cost"),
    "heating": ("installation", "operation"),
    "modecanada": ("cost", "ovt", "ivt"),
    "electricity": ("pf", "cl", "loc", "wk", "tod", "seas"),
}
"""Coefficients that may differ between people."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One set of choices. Log-likelihoods, the greater the better."""

    name: str
    choices: int
    log_likelihood: float
    """Log-likelihood of the multinomial logit, fitted to all."""
    known: float | None
    """What others print for the same model."""
    held_out: float
    """Sum over the folds, of the model that was chosen in each."""
    held_out_multinomial: float
    mixed_folds: int
    """Folds for which mixed logit was chosen."""
    cpu_s: float
    peer_held_out: float | None
    peer_all: float | None
    peer_cpu_s: float | None

    @property
    def passed(self) -> bool:
        """Within 0.001 of what is known, and held out at least as good as the peer."""
        exact = self.known is None or abs(self.log_likelihood - self.known) <= 0.001
        return exact and (self.peer_held_out is None or self.held_out >= self.peer_held_out)

    def to_json(self) -> dict[str, object]:
        return {**asdict(self), "passed": self.passed}


def compare_choices(names: Sequence[str], peer: Path | None, most: int = 0) -> Iterator[Judged]:
    """`peer`: a Python that has choice-learn; without it there are no figures of it. `most`: choices drawn of each set,
    0 for all. Raises InputError."""
    for name in names:
        choices = load_choices(name)
        if 0 < most < len(choices):
            choices = choices.pick(np.sort(np.random.default_rng(1).permutation(len(choices))[:most]))
        yield _judge(name, choices, peer, known=KNOWN.get(name) if not most else None)


def _judge(name: str, choices: Choices, peer: Path | None, known: float | None) -> Judged:
    folds = _folds(choices)
    begin = time.process_time()
    whole = fit_logit(choices)
    scores, plain, mixed = 0.0, 0.0, 0
    for fold in range(FOLDS):
        inside, outside = choices.pick(np.flatnonzero(folds != fold)), choices.pick(np.flatnonzero(folds == fold))
        fitted = _choose(inside, RANDOM[name])
        mixed += bool(fitted.deviations.any())
        scores += fitted.score(outside)
        plain += fit_logit(inside).score(outside)
    cpu_s = time.process_time() - begin
    found = {} if peer is None else _ask_peer(peer, choices, folds)
    return Judged(
        name, len(choices), whole.log_likelihood, known, scores, plain, mixed, cpu_s,
        found.get("held_out"), found.get("all"), found.get("cpu_s"),
    )  # fmt: skip


def _folds(choices: Choices) -> NDArray[np.int64]:
    """Which fold each choice is in: all those of a person in one."""
    count = int(choices.people.max()) + 1
    of_people = np.random.default_rng(7).permutation(np.arange(count) % FOLDS)
    found: NDArray[np.int64] = of_people[choices.people]
    return found


def _choose(choices: Choices, random: Sequence[str]) -> Fitted:
    """Multinomial or mixed logit: what does better on a fifth of these choices, fitted to the rest of them."""
    inner = _folds(choices)
    fit, judged = choices.pick(np.flatnonzero(inner != 0)), choices.pick(np.flatnonzero(inner == 0))
    plain, mixed = fit_logit(fit), fit_logit(fit, random, draws=_DRAWS)
    return fit_logit(choices, random if mixed.score(judged) > plain.score(judged) else (), draws=_DRAWS)


def _ask_peer(peer: Path, choices: Choices, folds: NDArray[np.int64]) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="millmark-") as scratch:
        path = Path(scratch) / "choices.npz"
        np.savez(path, values=choices.scaled(), there=choices.available, chosen=choices.chosen, fold=folds)
        command = [str(peer), str(Path(choice_peer.__file__)), str(path)]
        quiet = {"PATH": os.environ.get("PATH", ""), "HOME": scratch, "TF_CPP_MIN_LOG_LEVEL": "3"}
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=_TIMEOUT_S, env=quiet)
        except (OSError, subprocess.SubprocessError) as error:
            raise InputError(
                f"choice-learn cannot be run by {peer}: {type(error).__name__}",
                hint="give the Python of an environment with choice-learn 1.3.3 and TensorFlow",
            ) from None
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    # Where some alternatives are not available, its likelihood can be no number: then there is nothing to compare with.
    return {name: value for name, value in found.items() if math.isfinite(value)}
