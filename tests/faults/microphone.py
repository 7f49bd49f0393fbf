"""F: microphones, with a real sound server: `make microphone`, whose figures docs/reliability.md has."""

from __future__ import annotations

from tests.faults.elsewhere import proved
from tests.faults.scene import Case

TESTS = "tests/microphone_faults.py"
WHAT = {
    "F1": ("unplugged in the middle of a sentence", "noticed in 2 s, one gap", "f1_f2"),
    "F2": ("plugged in again", "recording within 5 s", "f1_f2"),
    "F3": ("the sound server stopped for 30 s", "noticed in 2 s, the recording process replaced", "f3"),
    "F4": ("the sound server killed", "as F1 and F2", "f4"),
    "F5": ("no device at the start", "ready, tried again", "f5"),
    "F6": ("48 kHz stereo only", "resampled", "f6"),
    "F7": ("faster than real time", "refused, memory bounded", "f7"),
    "F8": ("another default device", "followed", "f8"),
    "F9": ("the recording process starved", "a gap, if anything was lost", "f9"),
}

CASES = tuple(
    Case(name, injected, expected, proved(TESTS, pick=pick), alone=True, limit_s=240)
    for name, (injected, expected, pick) in WHAT.items()
)
