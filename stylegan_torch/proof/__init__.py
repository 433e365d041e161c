"""Holding networks against what the original programs computed."""
