"""Tests of `stylegan_torch.measuring` and what is measured by commands and in training."""
