"""The benchmark: speed and memory against the machine's own ceilings."""
