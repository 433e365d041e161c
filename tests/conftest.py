"""Set-up shared by all tests."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings

# Each worker has one core; more threads than cores make small networks slower, not faster.
torch.set_num_threads(1)

# The same examples everywhere, however slow or busy the machine.
settings.register_profile("any machine", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


@pytest.fixture(autouse=True)
def _same_random_numbers() -> None:
    """Whatever ran before in this worker, which depends on how many there are and how fast."""
    torch.manual_seed(0)
    np.random.seed(0)
