"""Faults for a daemon of its own process, case by case, and what came of each.

    python -m tests.faults                       every case; make faults
    python -m tests.faults A1 B4 G --seed 7      some, by id or group
    python -m tests.faults.fuzz --messages N     every protocol's codec, in this process
    python -m tests.faults.fuzz --connections N  bytes from hell against a real daemon
    python -m tests.faults.soak --hours 1        a fault every minute

Speech is that of `tests.faulty`: each 100 ms say which they are and whose, so that a word that is lost, doubled, swapped,
changed or somebody else's is seen for certain. `scene.py` says what is looked at after every case.
"""
