"""What becomes of calls while the store does not answer."""
