import numpy as np
import pytest
from report_examples import findings
from scipy.stats import spearmanr
from sklearn.metrics import confusion_matrix as sklearn_confusion

from jaxnoisy.detect import Detection
from jaxnoisy.report.agreement import agreement
from jaxnoisy.report.classes import class_rates, confusion_matrix, largest_confusions
from jaxnoisy.report.text import flattened, number, percent, seconds, shown


def test_matrix_counts_the_flagged():
    found = findings(n=200, c=5)
    suggested = found.suggested()
    flagged = found.detections["aum"].flagged
    expected = sklearn_confusion(found.labels[flagged], suggested[flagged], labels=range(5))
    np.testing.assert_array_equal(confusion_matrix(found, suggested), expected)


def test_largest_confusions_leave_out_the_diagonal_and_zeros():
    matrix = np.array([[9, 2, 0], [5, 9, 2], [0, 0, 9]])
    found = largest_confusions(matrix, np.array([20, 50, 9]))
    assert [tuple(f) for f in found] == [(1, 0, 5, 0.1), (0, 1, 2, 0.1), (1, 2, 2, 0.04)]
    assert largest_confusions(matrix, np.array([20, 50, 9]), limit=1) == found[:1]


def test_class_rates_in_order_or_by_most_flagged():
    found = findings(n=200, c=5)
    flagged = found.detections["aum"].flagged
    rates = class_rates(found)
    assert [rate.label for rate in rates] == [0, 1, 2, 3, 4]
    for rate in rates:
        of_class = found.labels == rate.label
        assert (rate.examples, rate.flagged) == (of_class.sum(), flagged[of_class].sum())
        assert rate.share == pytest.approx(flagged[of_class].mean())
        assert rate.wrong == pytest.approx(found.flips[of_class].mean())
    first = class_rates(found, limit=2)
    assert [rate.flagged for rate in first] == sorted((rate.flagged for rate in rates), reverse=True)[:2]


def test_a_class_without_examples_has_share_zero():
    found = findings(n=4, c=2, inputs=None, truth=False)
    found.labels[:] = 0
    assert (class_rates(found)[1].share, class_rates(found)[1].wrong) == (0.0, None)


def test_agreement_is_jaccard_and_spearman():
    rng = np.random.default_rng(0)
    a = rng.integers(0, 20, 300).astype(float)
    b = a + rng.normal(size=300)
    compared = agreement({"a": Detection(a, a > 15, 15.0), "b": Detection(b, b > 14, 14.0)})
    assert compared.methods == ("a", "b")
    assert compared.overlap[0, 1] == ((a > 15) & (b > 14)).sum() / ((a > 15) | (b > 14)).sum()
    assert compared.correlation[0, 1] == pytest.approx(spearmanr(a, b).statistic)
    assert compared.correlation[1, 1] == pytest.approx(1)


def test_agreement_where_there_is_none_to_speak_of():
    nothing = Detection(np.zeros(5), np.zeros(5, bool), None)
    compared = agreement({"a": nothing, "b": nothing._replace(scores=np.arange(5.0))})
    assert np.isnan(compared.overlap).all()
    assert np.isnan(compared.correlation[0, 1])
    assert compared.correlation[1, 1] == pytest.approx(1)


def test_shown_text_is_printable_and_short():
    assert shown("a\x00b\u202ec\udcff\n") == "a\\x00b\\u202ec\\udcff\\n"
    assert shown("日本語 <b>") == "日本語 <b>"
    assert shown("x" * 500) == "x" * 159 + "…"


def test_numbers_read_well():
    assert [number(v) for v in (0.0, 1.5, 99.96, 123.4, 999.6, 12345.6, 1e-9, -2.0, float("nan"), None)] == [
        "0.00",
        "1.50",
        "100",
        "123",
        "1,000",
        "12,346",
        "1.00e-09",
        "-2.00",
        "–",
        "–",
    ]
    assert [percent(v) for v in (0.1234, None, float("nan"))] == ["12.3 %", "–", "–"]
    assert [seconds(v) for v in (1e-5, 0.0123, 5.0, 300, 9000)] == ["< 1 ms", "12 ms", "5.0 s", "5.0 min", "2.5 h"]


def test_settings_are_flattened():
    nested = {"a": {"b": {"c": 1}, "d": None}, "e": [1, 2], "f": True, "g": {}, "h": []}
    assert flattened(nested) == {"a.b.c": "1", "a.d": "none", "e": "1, 2", "f": "yes", "g": "none", "h": "none"}
