"""Whole generators as graphs, which run without this package."""
