"""What all customer models share: the training panel, learners, calibration; personas and reasons."""
