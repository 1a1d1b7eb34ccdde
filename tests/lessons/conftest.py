"""A lab without a cluster, and a learner's progress, for every test of the lessons."""

from scratch_lab import lab, progress

__all__ = ["lab", "progress"]
