"""What a run is, and which runs a scale needs. Never imports torch."""
