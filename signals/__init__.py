"""Evidence: the registry of functions, policy lists, counters, labels and the state they keep."""
