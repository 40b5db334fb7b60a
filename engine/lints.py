"""Warnings."""
from __future__ import annotations
def lint(analysis: object) -> None:
    """nothing yet"""
