"""Statements and how they are shown."""
