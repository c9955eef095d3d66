"""Figures, tables and one HTML page from the draws, and sections that a user adds to the page."""

from glacierbayes.report import sections as sections  # every import of this package registers them, in their order
from glacierbayes.report.fit import fit_statistics
from glacierbayes.report.functions import function_table
from glacierbayes.report.registry import (
    Section,
    SectionUnavailable,
    register_section,
    registered_sections,
    unregister_section,
)
from glacierbayes.report.tables import parameter_table
from glacierbayes.report.write import write_report

__all__ = [
    "Section",
    "SectionUnavailable",
    "fit_statistics",
    "function_table",
    "parameter_table",
    "register_section",
    "registered_sections",
    "unregister_section",
    "write_report",
]
