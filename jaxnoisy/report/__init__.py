"""What a run leaves behind: the ranked table, the summary, every detector's word, and a page to look at."""

from jaxnoisy.report.detections import read_detections, write_detections
from jaxnoisy.report.folder import FILES, refuse_other_run, write
from jaxnoisy.report.issues import COLUMNS, Issues, rank_issues, read_issues, write_issues
from jaxnoisy.report.summary import summarize
from jaxnoisy.report.table import plain_table, rich_table

__all__ = [
    "COLUMNS",
    "FILES",
    "Issues",
    "plain_table",
    "rank_issues",
    "read_detections",
    "read_issues",
    "refuse_other_run",
    "rich_table",
    "summarize",
    "write",
    "write_detections",
    "write_issues",
]
