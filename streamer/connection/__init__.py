"""One client: its wire, its session, and what of both outlives a lost connection."""
