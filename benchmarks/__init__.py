"""Ratios of this library to what it stands beside, measured in one run."""
