"""Histories: a simulated day with ground truth, and how well decisions agree with the truth."""
