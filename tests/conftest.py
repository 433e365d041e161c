"""Set-up shared by all tests."""

import torch

# Each worker has one core; more threads than cores make small networks slower, not faster.
torch.set_num_threads(1)
