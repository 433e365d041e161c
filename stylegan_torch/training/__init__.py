"""Training: losses, regularisers, schedules, augmentation, data and the loop. Needs the extra `train`."""
