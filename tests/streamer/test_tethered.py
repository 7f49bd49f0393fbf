"""What ends with the program that has started it."""

from __future__ import annotations

import os
import threading

from streamer.tethered import tether


def test_a_tether_is_felt_when_whoever_held_it_has_gone_and_not_before():
    reading, writing = os.pipe()
    felt = threading.Event()
    tether(reading, felt.set)
    os.write(writing, b"what is said is nothing")
    (thread,) = [thread for thread in threading.enumerate() if thread.name == "tether"]

    assert not felt.is_set()
    os.close(writing)
    thread.join(30)
    assert felt.is_set()
    os.close(reading)
