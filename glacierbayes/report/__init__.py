"""Figures, tables and one HTML page from the draws."""

from glacierbayes.report.functions import function_table
from glacierbayes.report.html import write_report
from glacierbayes.report.tables import fit_statistics, parameter_table

__all__ = ["fit_statistics", "function_table", "parameter_table", "write_report"]
