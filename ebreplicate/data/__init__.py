"""Images in memory and in folders, in batches."""
