import csv
from pathlib import Path

import numpy as np
import pytest
from report_examples import NASTY, findings

from jaxnoisy import report

HEADER = ["id", "given_label", "suggested_label", "score", "rank", "flagged"]


def rows_of(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_columns_rows_and_order(tmp_path):
    found = findings()
    report.write_issues(tmp_path / "issues.csv", report.rank_issues(found))
    text = (tmp_path / "issues.csv").read_bytes()
    assert text.splitlines()[0].decode().split(",") == HEADER
    assert b"\r" not in text
    rows = rows_of(tmp_path / "issues.csv")
    assert [row["rank"] for row in rows] == [str(k + 1) for k in range(len(found))]
    scores = [float(row["score"]) for row in rows]
    assert scores == sorted(found.detections["aum"].scores.tolist(), reverse=True)
    by_id = {row["id"]: row for row in rows}
    suggested = found.suggested()
    for k in range(len(found)):
        row = by_id[str(k)]
        assert row["given_label"] == f"class {found.labels[k]}"
        assert row["suggested_label"] == f"class {suggested[k]}"
        assert row["flagged"] == ("true" if found.detections["aum"].flagged[k] else "false")


def test_flagged_come_first_whatever_their_score():
    found = findings()
    flagged = np.zeros(len(found), bool)
    flagged[found.detections["aum"].scores.argmin()] = True
    other = found.detections["aum"]._replace(flagged=flagged)
    table = report.rank_issues(type(found)(found.trace, {"aum": other}, "aum", 0.1))
    assert table.flagged.tolist() == [True] + [False] * (len(found) - 1)
    assert table.score[0] == other.scores.min()
    assert (np.diff(table.score[1:]) <= 0).all()


def test_nasty_text_comes_back(tmp_path):
    ids = np.array(
        [
            'a,"b"',
            "c\r\nd",
            "e\rf",
            "=1+1",
            "'=1+1",
            "''@x",
            "-5",
            "+.5e3",
            "-5+cmd|x",
            "@at",
            "'quoted'",
            "\ttab",
            " ",
            "ü",
        ]
        + [f"row {k}" for k in range(46)]
    )
    found = findings(c=len(NASTY), names=NASTY, ids=ids)
    table = report.rank_issues(found)
    report.write_issues(tmp_path / "i.csv", table)
    back = report.read_issues(tmp_path / "i.csv")
    for name, written, read in zip(HEADER, table, back):
        np.testing.assert_array_equal(read, written, err_msg=name)
    assert set(back.id.tolist()) == set(ids.tolist())


def test_no_cell_is_a_formula(tmp_path):
    ids = np.array([f"{start}cmd{k}" for k, start in enumerate("=+-@\t\r" * 10)])
    report.write_issues(tmp_path / "i.csv", report.rank_issues(findings(ids=ids, names=["=a", "@b", "-c"])))
    for row in rows_of(tmp_path / "i.csv"):
        for column in HEADER[:3]:
            assert row[column][0] == "'"


def test_negative_numbers_stay_numbers(tmp_path):
    ids = np.array([f"-{k}.5" for k in range(60)])
    report.write_issues(tmp_path / "i.csv", report.rank_issues(findings(ids=ids)))
    assert {row["id"] for row in rows_of(tmp_path / "i.csv")} == set(ids.tolist())


def test_file_names_that_are_not_text_are_written_as_escapes(tmp_path):
    ids = np.array(["\udcff.png"] + [str(k) for k in range(59)])
    report.write_issues(tmp_path / "i.csv", report.rank_issues(findings(ids=ids)))
    assert "\\udcff.png" in {row["id"] for row in rows_of(tmp_path / "i.csv")}


def test_more_rows_than_a_block(tmp_path):
    n = (1 << 16) + 3
    table = report.Issues(
        np.arange(n).astype(str),
        np.full(n, "a"),
        np.full(n, "b"),
        np.linspace(1, 0, n),
        np.arange(1, n + 1),
        np.ones(n, bool),
    )
    report.write_issues(tmp_path / "i.csv", table)
    back = report.read_issues(tmp_path / "i.csv")
    np.testing.assert_array_equal(back.score, table.score)
    np.testing.assert_array_equal(back.rank, table.rank)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,label\n", "columns"),
        ("", "columns"),
        (",".join(HEADER) + "\na,b,c,0.5,1\n", "line 2.*5 cells"),
        (",".join(HEADER) + "\na,b,c,0.5,1,maybe\n", "line 2.*maybe"),
        (",".join(HEADER) + "\na,b,c,x,1,true\n", "line 2"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content, message):
    (tmp_path / "i.csv").write_text(content)
    with pytest.raises(ValueError, match=message):
        report.read_issues(tmp_path / "i.csv")
