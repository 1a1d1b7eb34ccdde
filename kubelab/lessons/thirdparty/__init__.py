"""Tracks that others wrote: how they are got, looked over, installed, pinned, updated and removed.

`source` says where from, `fetching` brings it as a tree in memory (`archive`, `git`), `offer` finds the
tracks in that and looks them over, `installed` keeps those that were agreed to.
"""
