"""What was committed, written down before it is said: so that a session outlives its connection and its daemon."""
