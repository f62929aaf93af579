"""Several runs side by side; what `launch.compare` and `launch.regret` share."""
