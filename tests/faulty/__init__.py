"""A recognizer with faults to order, in the daemon's child, and speech that shows every loss.

    python -m tests.faulty.daemon --fault segv@5 --server.port 0        a daemon with such a child

The child imports no torch and starts in a fraction of a second. See `faults.py` for what it can be told to do, and
`spoken.py` for the speech.
"""
