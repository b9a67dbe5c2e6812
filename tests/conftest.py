"""What every test runs under: one thread, and hypothesis examples that are the same on every machine."""

import torch
from hypothesis import settings

torch.set_num_threads(1)
settings.register_profile("suite", deadline=None, derandomize=True, database=None, max_examples=40)
settings.register_profile("explore", deadline=None, max_examples=400)  # pytest --hypothesis-profile=explore
settings.load_profile("suite")
