"""Finished runs on disk: folders, records, locks, checkpoints, merging."""
