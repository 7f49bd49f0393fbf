"""Sound to log-mel features."""
