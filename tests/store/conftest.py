"""Beside the parts: whole stores, of every engine."""

from engines import service

__all__ = ["service"]
