"""Budgets from files: settings read, checked and turned into pools."""
