"""Tables from untrusted files, and the step from float to integer."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millmark.quality import InputError, to_fixed
from millmark.quality.data import Table, choose_decimals, load_inputs, load_labels, load_table, name_labels

ANNOUNCED = (
    b"\x93NUMPY\x01\x00\x76\x00"
    + b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000, 4), }".ljust(117)
    + b"\n"
)
"""Announces 29 TiB of values, and has none."""


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    ("value", "decimals", "expected"),
    [
        (1.5, 6, 1_500_000),
        (-0.14040239, 6, -140_402),
        (0.5, 0, 0),  # ties go to even
        (1.5, 0, 2),
        (-2.5, 0, -2),
        (1e-7, 6, 0),
        (9007199254740991.0, 0, 2**53 - 1),
    ],
)
def test_to_fixed(value: float, decimals: int, expected: int) -> None:
    assert to_fixed(np.array([value]), decimals).tolist() == [expected]


@pytest.mark.parametrize(
    ("value", "cause"),
    [(np.nan, "not finite"), (np.inf, "not finite"), (9007199254740992.0, "exceeds"), (1e300, "exceeds")],
)
def test_to_fixed_refuses(value: float, cause: str) -> None:
    with pytest.raises(InputError, match=cause):
        to_fixed(np.array([value]), 0)


@pytest.mark.parametrize(
    ("largest", "spread", "decimals"),
    [
        (1, 1, 6),
        (1e8, 1, 6),
        (1e9, 1e9, 6),
        (1e10, 1, 5),
        (1e12, 1e12, 3),
        (1e15, 1e15, 0),
        (1, 4e-3, 6),
        (1, 4e-4, 7),
        (1e-9, 1e-9, 9),
        (1e3, 1e-7, 6),  # changes that are nothing but the rounding of floats
    ],
)
def test_decimals_leave_room_and_tell_values_apart(largest: float, spread: float, decimals: int) -> None:
    column = np.array([1, -1] * 5) * spread / 2 + largest - spread / 2
    values = np.stack([column, np.zeros(10)], axis=1)
    assert choose_decimals(values) == choose_decimals(-values) == decimals
    to_fixed(values * 8, decimals)


def test_room_comes_before_detail() -> None:
    assert choose_decimals(np.array([[1e12, 1e-5], [0, 0]])) == 3


def test_values_without_room_are_refused() -> None:
    for value in (1.2e15, 1e300, 1.7e308):
        with pytest.raises(InputError, match="too large for 53 bits"):
            choose_decimals(np.array([[value], [0.0]]))


@given(st.lists(st.integers(-(10**15), 10**15), min_size=1))
def test_integers_pass_through_unchanged(values: list[int]) -> None:
    assert to_fixed(np.array(values, dtype=np.float64), 0).tolist() == values


def test_a_table_has_its_label_first(tmp_path: Path) -> None:
    path = write(tmp_path, "t.tsv", "-1\t0.5\t2\n1\t3\t4e-1\n")
    table = load_table(path)
    assert table.labels.tolist() == ["-1", "1"]
    assert table.values.tolist() == [[0.5, 2], [3, 0.4]]
    assert table.sha256s == (hashlib.sha256(path.read_bytes()).hexdigest(),)


@pytest.mark.parametrize(
    "content",
    [
        "1,2\n3,4\n",
        "a,b\n1,2\n3,4\n",
        '"x","3"\n1,2\n3,4',
        "0,1\n1,2\n\n3,4\n\n",
        "\ufeffa,b\r\n1,2\r\n3,4\r\n",
        "1;2\n3;4\n",
        "1,0;2\n3;4,0\n",
        "a;b\n1;2,0\n3;4\n",
        "1\t2\n3\t4\n",
        "1, 2 \n 3,4\n   \n",
        '"1", "2"\n"3",4\n',
        '"a, in um",b\n1,2\n3,4\n',
        ",a,b\n0,1,2\n1,3,4\n",
        '"","a","b"\n"first",1,2\n"second",3,4\n',
        ",0,1\n17,1,2\n4,3,4\n",
    ],
    ids=[
        "plain",
        "header",
        "quoted header",
        "counting header, blank lines",
        "byte order mark, CRLF",
        "semicolons",
        "decimal commas",
        "decimal commas under a header",
        "tabs",
        "spaces",
        "quoted numbers",
        "a comma in a quoted header",
        "row numbers",
        "row names",
        "row numbers under a counting header",
    ],
)
def test_inputs_from_text(tmp_path: Path, content: str) -> None:
    assert load_inputs(write(tmp_path, "x.csv", content))[0].tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("dtype", ["float32", "float64", "int16", "uint8", "bool"])
def test_inputs_from_npy(tmp_path: Path, dtype: str) -> None:
    np.save(tmp_path / "x.npy", np.array([[0, 1], [1, 0]], dtype=dtype))
    values, _ = load_inputs(tmp_path / "x.npy")
    assert values.dtype == np.float64
    assert values.tolist() == [[0, 1], [1, 0]]


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ([1, -1], ["1", "-1"]),
        ([1.0, -0.0], ["1", "0"]),
        ([0.5, 2], ["0.5", "2"]),
        ([True, False], ["1", "0"]),
        (["ok", "bad"], ["ok", "bad"]),
        ([b"ok", b"gr\xfcn"], ["ok", "grün"]),
    ],
)
def test_labels_have_one_name_whatever_their_type(values: list[object], named: list[str]) -> None:
    assert name_labels(np.array(values)).tolist() == named


@pytest.mark.parametrize("column", [False, True])
def test_labels_from_npy(tmp_path: Path, column: bool) -> None:
    labels = np.array([1, -1, 1])
    np.save(tmp_path / "y.npy", labels[:, np.newaxis] if column else labels)
    assert load_labels(tmp_path / "y.npy")[0].tolist() == ["1", "-1", "1"]


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("1\n-1\n1\n", ["1", "-1", "1"]),
        ("label\n1\n-1.0\n1e0\n", ["1", "-1", "1"]),
        ('"fault"\nok\n"bad"\nok\n', ["ok", "bad", "ok"]),
        ("ok\nbad\nok\n", ["ok", "bad", "ok"]),
        ("\ufeffok\r\nbad\r\n\r\nok\r\n", ["ok", "bad", "ok"]),
        (",label\n0,ok\n1,bad\n2,label\n", ["ok", "bad", "label"]),
        (",0\n0,1\n1,0\n", ["1", "0"]),
        ('ok\n"not, ok"\nok\n', ["ok", "not, ok", "ok"]),
    ],
    ids=[
        "numbers",
        "header",
        "quoted words",
        "words",
        "byte order mark, CRLF",
        "row names",
        "counting header",
        "a quoted comma",
    ],
)
def test_labels_from_text(tmp_path: Path, content: str, named: list[str]) -> None:
    assert load_labels(write(tmp_path, "y.csv", content))[0].tolist() == named


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        ("", "has no rows"),
        ("1,2\n3,4\n", "more than one column; expected one label per row"),
        ("1\nnan\n", "a non-finite label"),
        ('ok\n""\nok\n', "an empty label"),
        (b"\xff\xfe1", "is not UTF-8 text"),
    ],
)
def test_unusable_label_text(tmp_path: Path, content: str | bytes, cause: str) -> None:
    with pytest.raises(InputError, match=cause):
        load_labels(write(tmp_path, "y.csv", content))


@pytest.mark.parametrize(
    ("array", "cause"),
    [
        (np.array([[1, 2], [3, 4]]), "expected one label per row"),
        (np.array([1.0, np.inf]), "a non-finite label"),
        (np.array([1j]), "array of numbers or words"),
        (np.array([{}], dtype=object), "is not a readable NPY array"),
        (np.zeros(0), "has no rows"),
    ],
)
def test_unusable_label_arrays(tmp_path: Path, array: np.typing.NDArray[np.generic], cause: str) -> None:
    np.save(tmp_path / "y.npy", array, allow_pickle=True)
    with pytest.raises(InputError, match=cause):
        load_labels(tmp_path / "y.npy")


@pytest.mark.parametrize(
    ("name", "content", "cause"),
    [
        ("x.txt", "1,2", "is not .npy, .csv or .tsv"),
        ("x.csv", "", "has no rows"),
        ("x.csv", "a,b\n", "has no rows"),
        ("x.csv", "1,2\n3\n", "line 2 has length 1, the first row has 2"),
        ("x.csv", "1,2\n3,four\n", "line 2 contains 'four', which is not a number; encode words as numbers"),
        ("x.csv", "1,2\n3,\n", "line 2 contains an empty cell, which is not a number; drop or fill missing"),
        ("x.csv", "1,\n3,4\n", "line 1 contains an empty cell"),
        ("x.csv", ",1\n3,4\n", "line 1 contains an empty cell"),
        ("x.csv", ",a\n0,1\n1\n", "line 3 has length 0, the first row has 1"),
        ("x.csv", "1,2\n3," + "x" * 999, f"line 2 contains '{'x' * 20}...', which"),
        ("x.csv", "1,2\n3,nan\n", "data row 2 has a non-finite value"),
        ("x.csv", "1,2\n-inf,3\n", "data row 2 has a non-finite value"),
        ("x.csv", b"\xff\xfe1", "is not UTF-8 text"),
        ("x.csv", ",".join(["1"] * 4097), "has 4097 values per row"),
        ("x.npy", b"not an array", "is not a readable NPY array"),
        ("x.npy", b"\x93NUMPY", "is not a readable NPY array"),
        ("x.npy", ANNOUNCED, "is not a readable NPY array"),
        ("x.csv", '3,4\n"1,000",2\n', "line 2 contains '1,000', which is not a number"),
        ("x.csv", "3;4\n1.000,5;2\n", "line 2 contains '1.000,5', which is not a number"),
        ("x.csv", '3,4\n"' + "1" * 200_000 + '",2\n', "line 2 cannot be read: field larger"),
    ],
)
def test_unusable_inputs(tmp_path: Path, name: str, content: str | bytes, cause: str) -> None:
    with pytest.raises(InputError, match=cause):
        load_inputs(write(tmp_path, name, content))


@pytest.mark.parametrize(
    ("array", "cause"),
    [
        (np.zeros(3), "has shape"),
        (np.zeros((2, 2, 2)), "has shape"),
        (np.zeros((0, 2)), "has no rows"),
        (np.zeros((2, 0)), "has 0 values per row"),
        (np.array([["a"]]), "array of numbers"),
        (np.array([[1j]]), "array of numbers"),
        (np.array([[{}]], dtype=object), "is not a readable NPY array"),
        (np.array(1.0), "array of numbers"),
        (np.array([[np.nan]]), "non-finite"),
    ],
)
def test_unusable_arrays(tmp_path: Path, array: np.typing.NDArray[np.generic], cause: str) -> None:
    np.save(tmp_path / "x.npy", array, allow_pickle=True)
    with pytest.raises(InputError, match=cause):
        load_inputs(tmp_path / "x.npy")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.npy cannot be read: No such file"):
        load_labels(tmp_path / "absent.npy")


def test_a_table_of_labels_only_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="each row needs a label and at least one value"):
        load_table(write(tmp_path, "t.csv", "1\n0\n"))


def test_rows_and_labels_must_match() -> None:
    with pytest.raises(InputError, match="2 rows of inputs but 3 labels"):
        Table(values=np.zeros((2, 1)), labels=np.array(["0"] * 3), sha256s=())


def test_packed_files_are_read_and_hashed_unpacked(tmp_path: Path) -> None:
    plain = write(tmp_path, "x.csv", "1,2\n3,4\n")
    packed = write(tmp_path, "x.csv.gz", gzip.compress(plain.read_bytes()))
    values, digest = load_inputs(packed)
    assert values.tolist() == [[1, 2], [3, 4]]
    assert digest == load_inputs(plain)[1]


@pytest.mark.parametrize(
    ("name", "content", "cause"),
    [
        ("x.csv.gz", b"1,2", "is not a gzip file"),
        ("x.csv.gz", gzip.compress(b"1,2\n3,4\n" * 99, mtime=0)[:-12], "is not a gzip file"),
        ("x.gz", gzip.compress(b"1,2", mtime=0), "is not .npy, .csv or .tsv"),
        ("x.npy.gz", gzip.compress(b"1,2", mtime=0), "is not a readable NPY array"),
    ],
)
def test_unusable_packed_files(tmp_path: Path, name: str, content: bytes, cause: str) -> None:
    with pytest.raises(InputError, match=cause):
        load_inputs(write(tmp_path, name, content))


def test_what_unpacks_beyond_measure_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("millmark.quality.data._MAX_UNPACKED", 1000)
    with pytest.raises(InputError, match="unpacks to more than 1000 bytes"):
        load_inputs(write(tmp_path, "x.csv.gz", gzip.compress(b"1,2\n" * 1000)))
