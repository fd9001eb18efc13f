"""Labels, classes, and which of them mean FAIL."""

from __future__ import annotations

import numpy as np
import pytest

from millmark.quality import InputError
from millmark.quality.fitting import Classes, build_classes
from millmark.quality.train import verify_columns


def test_the_larger_of_two_labels_is_the_defect_unless_told() -> None:
    assert build_classes(["1", "-1", "1"]) == Classes(("-1", "1"), 2)
    assert build_classes(["1", "-1"], ["-1"]) == Classes(("1", "-1"), 2)
    assert build_classes(["ok", "bad"], ["bad"]) == Classes(("ok", "bad"), 2)


def test_numbers_sort_as_numbers_and_words_as_words() -> None:
    assert build_classes(["10", "9", "-3"]).labels == ("-3", "9", "10")
    assert build_classes(["10", "9", "x"]).labels == ("10", "9", "x")


def test_all_but_the_first_of_several_are_rejected_unless_told() -> None:
    assert build_classes(["a", "b", "c"]).rejects == 0b110
    assert build_classes(["a", "b", "c"], ["b"]).rejects == 0b010
    assert build_classes(["a", "b", "c"], ["c", "a", "b"]).rejects == 0b111


def test_one_logit_has_its_defect_in_bit_0() -> None:
    two, three = build_classes(["a", "b"]), build_classes(["a", "b", "c"])
    assert (two.outputs, two.mask) == (1, 1)
    assert (three.outputs, three.mask) == (3, 0b110)


def test_classes_of_labels_and_their_verdicts() -> None:
    classes = build_classes(["a", "b", "c"], ["a"])
    indexed = classes.index(np.array(["c", "a", "b"]))
    assert indexed.tolist() == [2, 0, 1]
    assert classes.fails(indexed).tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("labels", "reject", "cause"),
    [
        (["1", "1"], [], r"number of distinct labels is 1 \(1\); expected 2..32"),
        ([str(value) for value in range(33)], [], r"33 \(0, 1, 2, 3, 4, \.\.\.\)"),
        (["0", "1"], ["2"], "unknown label 2; choose from 0, 1"),
        (["0", "1"], ["0", "1"], "both labels are rejected; name the one that means FAIL"),
        (["a", "b", "c"], ["d"], "unknown label d"),
    ],
)
def test_unusable_labels(labels: list[str], reject: list[str], cause: str) -> None:
    with pytest.raises(InputError, match=cause):
        build_classes(labels, reject)


def test_a_label_of_another_model_is_named() -> None:
    with pytest.raises(InputError, match=r"label 2 is not one of the model's \(0, 1\)"):
        build_classes(["0", "1"]).index(np.array(["0", "2"]))


CLASSES = np.array([0, 1, 0, 1, 2, 2])
RANDOM = np.array([0.3, 0.1, 0.2, 0.9, 0.5, 0.7])


@pytest.mark.parametrize("column", [CLASSES, 5 - CLASSES, CLASSES**2 + 0.5])
def test_a_column_that_determines_the_label_is_refused(column: np.typing.NDArray[np.float64]) -> None:
    values = np.stack([RANDOM, column], axis=1).astype(np.float64)
    with pytest.raises(InputError, match="column 2 determines the label; remove it"):
        verify_columns(values, CLASSES)


def test_a_column_given_twice_is_refused() -> None:
    values = np.stack([RANDOM, RANDOM**2, RANDOM], axis=1)
    with pytest.raises(InputError, match="columns 1 and 3 are equal; keep one of them"):
        verify_columns(values, CLASSES)


def test_two_moments_of_a_series_may_be_alike() -> None:
    windows = np.random.default_rng(1).normal(size=(6, 65))
    windows[:, 64] = windows[:, 63]
    verify_columns(windows, CLASSES)
    with pytest.raises(InputError, match="columns 63 and 64 are equal"):
        verify_columns(windows[:, 1:], CLASSES)


@pytest.mark.parametrize("column", [CLASSES % 2, RANDOM > 0.4, np.zeros(6)])
def test_columns_that_only_help_are_let_through(column: np.typing.NDArray[np.float64]) -> None:
    constant = np.zeros(6)
    verify_columns(np.stack([RANDOM, column, constant], axis=1).astype(np.float64), CLASSES)


def test_columns_that_never_change_are_refused_when_there_are_no_others() -> None:
    with pytest.raises(InputError, match="every column is constant"):
        verify_columns(np.full((6, 3), 7), CLASSES)


@pytest.mark.parametrize("column", [np.arange(6), 100 - 2 * np.arange(6)])
def test_a_column_that_counts_the_rows_is_refused(column: np.typing.NDArray[np.int64]) -> None:
    with pytest.raises(InputError, match="column 2 numbers the rows; remove it from the inputs"):
        verify_columns(np.stack([np.array([3, 1, 4, 1, 5, 9]), column], axis=1), CLASSES)
