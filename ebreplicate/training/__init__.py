"""Data on the device, the training loop and its observers. Importing this package does not import torch."""
