"""A few of the fault cases (`make faults` runs all of them), and whether what judges them can be told from nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from tests.faults.daemon import State
from tests.faults.scene import Case, Scene, check_log, check_speakers, check_state, perform
from tests.faults.table import CASES, chosen
from tests.faulty.speaker import Speaker

CALM = State(50, 12, 4, 1, 9, 0)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", ["A16", "G3"])
async def test_a_fault_is_borne(name, tmp_path):
    (case,) = chosen([name])
    outcome = await perform(replace(case, neighbours=2, timely=False), 1, tmp_path)

    assert outcome.wrong == ""
    assert outcome.seen


def test_every_case_has_a_name_of_its_own_and_is_found_by_it_or_its_group():
    names = [case.id for case in CASES]
    assert len(set(names)) == len(names)
    assert [case.id for case in chosen(["a16", "B4"])] == ["A16", "B4"]
    assert [case.id[0] for case in chosen(["g"])] == ["G"] * 14
    with pytest.raises(ValueError, match="'Z9'"):
        chosen(["Z9"])


def scene() -> Scene:
    return Scene(Case("X1", "", "", perform), Random(1), Path())


def told(*texts: str) -> Speaker:
    """A speaker who said three words and was told these."""
    speaker = Speaker(900, [3], said={0: 7, 1: 8, 2: 9}, close_code=1000)
    words = [{"text": text, "start": (7 + n) / 10, "end": (7 + n) / 10 + 0.09} for n, text in enumerate(texts)]
    commit = {"type": "commit", "id": 1, "utterance": 1, "text": " ".join(texts), "words": words}
    speaker.messages = [commit, {"type": "final", "utterance": 1, "text": " ".join(texts)}]
    return speaker


@pytest.mark.parametrize(
    ("texts", "right"),
    [
        (["900.0", "900.1", "900.2"], True),
        (["900.0", "900.2"], False),
        (["900.0", "900.0", "900.1"], False),
        (["900.1", "900.0", "900.2"], False),
        (["900.0", "901.1", "900.2"], False),
    ],
    ids=["right", "lost", "doubled", "swapped", "foreign"],
)
def test_a_word_that_is_wrong_is_seen(texts, right):
    judged = scene()
    judged.speakers = [told(*texts)]
    check_speakers(judged)

    assert (judged.complaints == []) == right


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ('{"level":"INFO","message":"session opened"}', ""),
        ('{"level":"ERROR","message":"session failed"}', "1 errors in the log"),
        ('{"level":"WARNING","message":"x","traceback":"y"}', "1 errors in the log"),
        ("Traceback (most recent call last):", "no event"),
        ('{"level":"INFO","message":"heard 900.17"}', "words in the log"),
    ],
)
def test_a_line_that_should_not_be_in_the_log_is_seen(line, complaint):
    judged = scene()
    check_log(judged, [line])

    assert complaint in "; ".join(judged.complaints)
    assert bool(complaint) == bool(judged.complaints)


def test_a_flood_in_the_log_is_seen():
    judged = scene()
    check_log(judged, ['{"level":"INFO","message":"x"}'] * 1000)
    assert judged.complaints == ["1000 lines in the log"]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({}, ""),
        ({"memory_mib": 80}, "MiB"),
        ({"descriptors": 13}, "descriptors 12 -> 13"),
        ({"tasks": 10}, "tasks"),
        ({"children": 2}, "children"),
        ({"sessions": 1}, "sessions"),
    ],
)
def test_what_is_left_over_is_seen(change, complaint):
    judged = scene()
    check_state(judged, CALM, replace(CALM, **change))

    assert complaint in "; ".join(judged.complaints)
    assert bool(complaint) == bool(judged.complaints)
