"""Money that one worker spends at the speed of memory: leases of a shared account."""
