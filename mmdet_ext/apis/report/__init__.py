"""Detection report: all figures, plots and pictures of a set of predictions in one folder."""

from .making import make_report, report_source

__all__ = ['make_report', 'report_source']
