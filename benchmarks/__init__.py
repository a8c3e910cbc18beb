"""Measurements of the budgets that Joinery holds itself to; run with `make bench`."""
