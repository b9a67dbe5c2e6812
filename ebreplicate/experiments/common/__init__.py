"""What all experiments share: what one is, its rows, contrasts, verdicts, statistics and style."""
