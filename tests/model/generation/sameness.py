"""What it means that `generate` returns the same."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import pytest
import torch
from torch import Tensor

FRAME = 0.0201
"""By how much times of tokens may differ: one position of the encoder."""


def assert_same(found: Any, expected: Any, but: Collection[str] = ()) -> None:
    """Compare tensors, dictionaries with segments, or outputs of a search, field by field but some."""
    if isinstance(expected, Tensor):
        assert isinstance(found, Tensor)
        # A batch in which one recording has no text comes from the reference as floating point.
        assert found.tolist() == expected.long().tolist()
        return
    assert set(found) == set(expected)
    for name in expected:
        if name == "segments":
            for ours, theirs in zip(found[name], expected[name], strict=True):
                assert len(ours) == len(theirs)
                for a, b in zip(ours, theirs, strict=True):
                    assert_same_segment(a, b)
        elif name == "token_timestamps":
            torch.testing.assert_close(found[name], expected[name], atol=FRAME, rtol=0)
        elif name == "sequences":
            assert_same(found[name], expected[name])
        elif name != "past_key_values" and name not in but:
            torch.testing.assert_close(found[name], expected[name], atol=1e-4, rtol=1e-4)


def assert_same_segment(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Compare all of a segment but probabilities, which the reference does not tell; of its result what both have."""
    assert [name for name in found if name != "token_log_probabilities"] == list(expected)
    assert len(found.get("token_log_probabilities", found["tokens"])) == len(found["tokens"])
    assert (found["start"], found["end"], found["idxs"]) == (expected["start"], expected["end"], expected["idxs"])
    assert found["start"].dtype is expected["start"].dtype
    assert found["tokens"].tolist() == expected["tokens"].tolist()
    ours, theirs = found["result"], expected["result"]
    if isinstance(theirs, Tensor):
        assert ours.tolist() == theirs.tolist()
    else:
        assert ours["sequences"].tolist() == theirs["sequences"].tolist()
        assert set(ours) <= set(theirs)
    for times in (found, ours):
        if isinstance(times, dict) and "token_timestamps" in times:
            there = expected if times is found else theirs
            torch.testing.assert_close(times["token_timestamps"], there["token_timestamps"], atol=FRAME, rtol=0)


def both(
    networks: tuple[Any, Any],
    features: Tensor | None,
    *,
    seed: int = 0,
    but: Collection[str] = (),
    **arguments: Any,
) -> tuple[Any, Any]:
    """Let both generate, from the same state of the generator, and see that they return the same; return both.

    but: fields that are not compared.
    An argument that is `Made` is made anew for each.
    """
    results, progress = [], []
    for network in networks:
        torch.manual_seed(seed)
        reports: list[list[list[int]]] = []
        given = {name: value.maker() if isinstance(value, Made) else value for name, value in arguments.items()}
        results.append(
            network.generate(features, monitor_progress=lambda p, into=reports: into.append(p.tolist()), **given)
        )
        progress.append(reports)
    assert progress[0] == progress[1]
    assert_same(*results, but)
    return results[0], results[1]


def both_refuse(networks: tuple[Any, Any], features: Tensor | None, match: str, **arguments: Any) -> None:
    """See that both raise an error of the same kind, ours with a message that matches."""
    with pytest.raises((ValueError, TypeError)) as theirs:
        networks[1].generate(features, **arguments)
    with pytest.raises(theirs.type, match=match):
        networks[0].generate(features, **arguments)


class Made:
    """An argument that each of two calls has an object of its own of."""

    def __init__(self, maker: Callable[[], Any]) -> None:
        self.maker = maker
