"""Checkpoints on disk and at the hub: found, read, written."""
