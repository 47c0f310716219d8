"""Policies: pure functions that decide who gets how much, and when to speak up."""
