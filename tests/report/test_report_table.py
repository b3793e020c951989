import io

from report_examples import findings
from rich.console import Console

from jaxnoisy import report
from jaxnoisy.report.table import comparison


def summary_of(**methods):
    """A summary of methods that differ only in the measures given."""
    base = {
        "roc_auc": 0.5,
        "average_precision": 0.5,
        "precision_at_95_recall": None,
        "f1": 0.5,
        "fdr": 0.5,
        "recall": 0.5,
    }
    return {
        "primary": next(iter(methods)),
        "methods": {name: {"threshold": None, "flagged": 1200, "flagged_share": 0.12} for name in methods},
        "metrics": {name: {**base, "flagged": 1200, **measures} for name, measures in methods.items()},
    }


def test_best_is_highest_except_for_fdr():
    compared = comparison(summary_of(a={"roc_auc": 0.9, "fdr": 0.2}, b={"roc_auc": 0.8, "fdr": 0.1}))
    best = {name: [t for t, cell in zip(compared.columns, cells) if cell.best] for name, cells in compared.rows.items()}
    assert "ROC AUC" in best["a"]
    assert "ROC AUC" not in best["b"]
    assert "FDR" in best["b"]
    assert "FDR" not in best["a"]
    assert "flagged" not in best["a"] + best["b"]


def test_flagging_nothing_is_not_the_best_fdr():
    summary = summary_of(a={"fdr": 0.0, "flagged": 0}, b={"fdr": 0.3}, c={"fdr": 0.2})
    summary["methods"]["a"]["flagged"] = 0
    compared = comparison(summary)
    fdr = compared.columns.index("FDR")
    assert [cells[fdr].best for cells in compared.rows.values()] == [False, False, True]


def test_ten_methods_fit_a_small_terminal():
    text = report.plain_table(summary_of(**{f"confident-learnin{k}": {} for k in range(10)}), width=80)
    assert "…" not in text
    assert sum(line.startswith("confident-learnin") for line in text.splitlines()) == 10


def test_a_single_method_is_not_called_best():
    assert not any(cell.best for cell in comparison(summary_of(a={})).rows["a"])


def test_plain_text_with_the_truth():
    text = report.plain_table(summary_of(aum={"roc_auc": 0.98765}, loss={}))
    lines = text.splitlines()
    top, middle, bottom, rest = lines[0].split(), lines[1].split(), lines[2].split(), lines[4:]
    assert top == ["precision"]
    assert middle == ["ROC", "average", "at", "95", "%"]
    assert bottom == ["method", "AUC", "precision", "recall", "F1", "FDR", "recall", "flagged"]
    line = next(line for line in rest if line.strip().startswith("aum"))
    assert line.split() == ["aum*", "0.988", "0.500", "–", "0.500", "0.500", "0.500", "1,200"]
    assert "\x1b" not in text


def test_plain_text_without_the_truth():
    found = findings(truth=False)
    text = report.plain_table(report.summarize(found))
    header = text.splitlines()[0].split()
    assert header == ["method", "flagged", "share", "threshold"]
    line = next(line for line in text.splitlines() if line.strip().startswith("aum"))
    assert line.split() == ["aum*", "12", "20.0", "%", f"{found.detections['aum'].threshold:.4g}"]
    assert next(line for line in text.splitlines() if line.strip().startswith("small-loss")).split()[-1] == "–"


def test_names_are_not_markup():
    out = io.StringIO()
    Console(file=out, width=120, color_system=None).print(report.rich_table(summary_of(**{"[red]x[/red]": {}})))
    assert "[red]x[/red]" in out.getvalue()
