"""Figures of a report: inline SVG in the page's colours, and PDF, SVG and PNG for print."""
