"""How fast a training step is, as ratios to a plain PyTorch loop timed in the same run: `python -m benchmarks`."""
