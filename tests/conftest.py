"""Set-up shared by all tests."""

import torch
from hypothesis import HealthCheck, settings

# Each worker has one core; more threads than cores make small networks slower, not faster.
torch.set_num_threads(1)

# The same examples everywhere, however slow or busy the machine.
settings.register_profile("any machine", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")
