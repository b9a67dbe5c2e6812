"""What a run is, its key, and which runs a scale needs. No torch."""
