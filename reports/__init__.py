"""What is shown: tables, figures and the report of a run. Needs no torch."""
