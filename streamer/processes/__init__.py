"""Child processes: how they begin, what they are sent, and how they are buried."""
