"""How customers are scored: the training panel, purchase chances, money and calibration."""
