"""What a run leaves behind: ranked tables, a summary, every detector's word, and a page to look at."""

from jaxnoisy.report.detections import read_detections, read_flips, write_detections
from jaxnoisy.report.folder import FILES, refuse_other_run, write
from jaxnoisy.report.influence_folder import INFLUENCE_FILES, write_influences
from jaxnoisy.report.influence_summary import summarize_influences
from jaxnoisy.report.issues import COLUMNS, Issues, rank_issues, read_issues, write_issues
from jaxnoisy.report.repair_folder import REPAIR_FILES, write_repair
from jaxnoisy.report.repair_summary import summarize_repair
from jaxnoisy.report.staging import refuse_other_results
from jaxnoisy.report.summary import summarize
from jaxnoisy.report.table import plain_table, rich_table

__all__ = [
    "COLUMNS",
    "FILES",
    "INFLUENCE_FILES",
    "REPAIR_FILES",
    "Issues",
    "plain_table",
    "rank_issues",
    "read_detections",
    "read_flips",
    "read_issues",
    "refuse_other_results",
    "refuse_other_run",
    "rich_table",
    "summarize",
    "summarize_influences",
    "summarize_repair",
    "write",
    "write_detections",
    "write_influences",
    "write_issues",
    "write_repair",
]
