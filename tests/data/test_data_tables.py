"""Comma-separated tables: what is a feature, what is a label, and which cell is wrong."""

import numpy as np
import pytest

from jaxnoisy.data import read_table


def write(tmp_path, text, **how):
    path = tmp_path / "pets.csv"
    path.write_bytes(text.encode(how.pop("encoding", "utf-8")))
    return path


def test_numeric_columns_are_features_in_their_order(tmp_path):
    data = read_table(write(tmp_path, "b,label,a\n1,0,2.5\n-3e2,1, 4 \n5,1,.5\n"))
    np.testing.assert_array_equal(data.inputs, np.array([[1, 2.5], [-300, 4], [5, 0.5]], np.float32), strict=True)
    np.testing.assert_array_equal(data.labels, [0, 1, 1])
    assert data.class_names == ("0", "1")
    assert data.name == "pets"
    assert list(data.ids) == ["0", "1", "2"]


def test_text_labels_are_numbered_in_sorted_order(tmp_path):
    data = read_table(write(tmp_path, "x,label\n1,dog\n2,cat\n3,dog\n4,10\n"))
    assert data.class_names == ("10", "cat", "dog")
    np.testing.assert_array_equal(data.labels, [2, 1, 2, 0])


def test_whole_numbers_are_class_numbers_even_with_a_point(tmp_path):
    data = read_table(write(tmp_path, "x,label\n1,3.0\n2,0.0\n3,10\n"))
    np.testing.assert_array_equal(data.labels, [3, 0, 10])
    assert data.num_classes == 11


def test_ids_and_clean_labels_have_their_own_columns(tmp_path):
    data = read_table(write(tmp_path, "id,label,x,clean_label\nu1,cat,1,dog\nu2,cat,2,cat\nu3,owl,3,owl\n"))
    assert data.inputs.shape == (3, 1)
    assert list(data.ids) == ["u1", "u2", "u3"]
    assert data.class_names == ("cat", "dog", "owl")
    np.testing.assert_array_equal(data.clean_labels, [1, 0, 2])


def test_quotes_commas_line_breaks_and_markup_are_kept_verbatim(tmp_path):
    text = 'x,"label"\r\n"1","<b>a, ""b""</b>"\r\n\r\n2,"$\\alpha$\nnext"\r\n3,"<b>a, ""b""</b>"\r\n'
    data = read_table(write(tmp_path, text))
    assert set(data.class_names) == {'<b>a, "b"</b>', "$\\alpha$\nnext"}
    assert data.labels[0] == data.labels[2] != data.labels[1]


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path):
    assert len(read_table(write(tmp_path, "label,x\n0,1\n1,2\n", encoding="utf-8-sig"))) == 2


def test_many_rows_are_read_in_parts_and_in_order(tmp_path):
    rng = np.random.default_rng(0)
    values, labels = rng.normal(size=(25_001, 2)), rng.integers(0, 3, 25_001)
    rows = "".join(f"{a!r},{b!r},{c}\n" for (a, b), c in zip(values.tolist(), labels))
    data = read_table(write(tmp_path, "u,v,label\n" + rows))
    np.testing.assert_array_equal(data.inputs, values.astype(np.float32))
    np.testing.assert_array_equal(data.labels, labels)
    with pytest.raises(ValueError, match=r"line 25003 has no value in column 'v'"):
        read_table(write(tmp_path, "u,v,label\n" + rows + "1,,0\n"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("\n", "is empty"),
        ("x,label\n", "header and no rows"),
        ("x,y\n1,2\n", "no column 'label', only 'x', 'y'"),
        ("x;label\n1;2\n", "no column 'label', only 'x;label'"),
        ("label\n1\n0\n", "no feature column"),
        ("label,id\n1,a\n0,b\n", "no feature column"),
        (",x,label\n0,1,0\n1,2,1\n", "column 1 has no name. If it is the index that pandas writes"),
        ("x,x,label\n1,2,0\n", "column 'x' stands there twice"),
        ("x,label\n1,0\n2\n", "line 3 has 1 cells where the header has 2"),
        ("x,label\n1,0,7\n", "line 2 has 3 cells where the header has 2"),
        ("x,label\n1,0\n,1\n", "line 3 has no value in column 'x'"),
        ("x,y,label\n1,1,0\n1, ,1\n", "line 3 has no value in column 'y'"),
        ("x,label\n1,0\n\n\nnan,1\n", r"line 5 holds no value \(NaN\) in column 'x'"),
        ("x,label\n1,0\n-inf,1\n", "line 3 holds -inf, beyond the range of float32, in column 'x'"),
        ("x,label\n1,0\n1e39,1\n", r"line 3 holds 1e\+39, beyond the range of float32, in column 'x'"),
        ("x,label\n1,0\n2,\n", "line 3 has no value in column 'label'"),
        ("x,label\n1,0\n2,NaN\n", "line 3 has no value in column 'label'"),
        ("id,x,label\na,1,0\n,1,1\n", "line 3 has no value in column 'id'"),
        ("id,x,label\na,1,0\na,1,1\n", "ids must be unique, but 'a' stands 2 times"),
        (
            "x,colour,city,label\n1,red,Ulm,0\n",
            r"not numeric: 'colour' \('red' in line 2\), 'city' \('Ulm' in line 2\)",
        ),
        ("x,label\n1,0.5\n2,1\n", "label '0.5' is a number, but not a whole one"),
        ("x,label\n1,-1\n2,1\n", r"labels\[0\] is -1"),
        ("x,label\n1,20240131\n2,20240201\n", "without gaps"),
        ('x,label\n1,"cat\n', "not well-formed"),
        ('x,label\n1,"c"at\n', "not well-formed"),
    ],
)
def test_the_message_names_the_file_the_line_and_the_column(tmp_path, text, message):
    path = write(tmp_path, text)
    with pytest.raises(ValueError, match=message) as caught:
        read_table(path)
    assert repr(str(path)) in str(caught.value)


def test_other_encodings_are_refused(tmp_path):
    with pytest.raises(ValueError, match="not UTF-8 text"):
        read_table(write(tmp_path, "x,label\n1,Hündin\n2,b\n", encoding="latin-1"))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"none\.csv' does not exist"):
        read_table(tmp_path / "none.csv")
