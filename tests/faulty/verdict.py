"""Whether a client was told exactly what it said: nothing lost, doubled, swapped, changed, or of somebody else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

from model.types import SAMPLE_RATE
from tests.faulty.spoken import FRAME


@dataclass(frozen=True, slots=True)
class Verdict:
    """Counts of words, but for `changed`: of commits or finals that contradict what was said before."""

    lost: int = 0
    """Said, not committed, and in no gap."""
    doubled: int = 0
    swapped: int = 0
    foreign: int = 0
    """Of another speaker, or no word at all."""
    changed: int = 0
    gaps: int = 0
    """Stretches that were given up."""
    in_gaps: int = 0
    """Words said in them and not committed."""

    @property
    def sound(self) -> bool:
        """Whether every word is there once, in order, or in a gap."""
        return not (self.lost or self.doubled or self.swapped or self.foreign or self.changed)

    def __add__(self, other: Verdict) -> Verdict:
        return Verdict(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))


def judge(key: int, said: Mapping[int, int], messages: Sequence[Mapping[str, Any]]) -> Verdict:
    """Compare what speaker `key` said (number: frame of the stream) with the messages of the native protocol.

    Words are named as `spoken.FrameRecognizer` does.
    """
    heard: list[int] = []
    foreign = changed = 0
    texts: dict[int, str] = {}
    for count, commit in enumerate((m for m in messages if m["type"] == "commit"), start=1):
        changed += commit["id"] != count
        texts[commit["utterance"]] = texts.get(commit["utterance"], "") + commit["text"]
        for word in commit["text"].split():
            whose, _, number = word.partition(".")
            if whose == str(key) and number.isdecimal() and int(number) in said:
                heard.append(int(number))
            else:
                foreign += 1
    changed += sum(m["text"] != texts.get(m["utterance"], "") for m in messages if m["type"] == "final")
    gaps = [(m["start"] * SAMPLE_RATE, m["end"] * SAMPLE_RATE) for m in messages if m["type"] == "gap"]
    once = list(dict.fromkeys(heard))
    missing = set(said) - set(once)
    excused = {
        n for n in missing if any(start < (said[n] + 1) * FRAME and said[n] * FRAME < end for start, end in gaps)
    }
    return Verdict(
        lost=len(missing - excused),
        doubled=len(heard) - len(once),
        swapped=sum(later < earlier for earlier, later in pairwise(once)),
        foreign=foreign,
        changed=changed,
        gaps=len(gaps),
        in_gaps=len(excused),
    )
