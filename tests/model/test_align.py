import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.models.whisper.generation_whisper import _dynamic_time_warping, _median_filter

from model.align import alignment_cost, median_filter, path_starts, token_starts


def reference_starts(cost):
    rows, columns = _dynamic_time_warping(cost)
    jumps = np.pad(np.diff(rows), (1, 0), constant_values=1).astype(bool)
    return columns[jumps]


@pytest.mark.parametrize("width", [1, 3, 4, 7, 50])
def test_the_median_filter_equals_the_reference(width):
    x = torch.randn(2, 3, 5, width, generator=torch.Generator().manual_seed(width))
    assert torch.equal(median_filter(x), _median_filter(x, 7))


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (2, 2), (5, 3), (7, 40), (20, 90)])
@pytest.mark.parametrize("seed", range(40))
def test_paths_equal_the_reference(shape, seed):
    cost = np.random.default_rng(seed).standard_normal(shape)
    assert path_starts(cost).tolist() == reference_starts(cost).tolist()


def test_ties_go_the_way_of_the_reference():
    cost = np.zeros((6, 11))
    assert path_starts(cost).tolist() == reference_starts(cost).tolist()


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 12), st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_starts_never_go_back(rows, columns, seed):
    starts = path_starts(np.random.default_rng(seed).integers(-3, 3, (rows, columns)).astype(np.float64))
    assert starts[0] == 0
    assert (np.diff(starts) >= 0).all()
    assert starts[-1] < columns


def test_the_cost_is_the_reference_s_normalisation_filter_and_mean():
    attention = torch.randn(3, 6, 40, generator=torch.Generator().manual_seed(1)).softmax(dim=-1)
    std, mean = torch.std_mean(attention, dim=-2, keepdim=True, correction=0)
    expected = -_median_filter((attention - mean)[None] / std, 7)[0].mean(dim=0)
    torch.testing.assert_close(alignment_cost(attention), expected)
    torch.testing.assert_close(alignment_cost(attention, first_row=2), expected[2:])


def test_tokens_start_where_they_are_heard():
    """Each token listens to its own stretch of positions; the later ones are aligned alone."""
    bounds = [0, 12, 20, 37, 60]
    attention = torch.full((2, 4, 64), 1e-3)
    for row in range(4):
        attention[:, row, bounds[row] : bounds[row + 1]] = 1.0
    assert token_starts(attention, 0, 0, 60).tolist() == pytest.approx(bounds[:4], abs=1)
    assert token_starts(attention, 2, 20, 60).tolist() == pytest.approx(bounds[2:4], abs=1)


@pytest.mark.parametrize(("rows", "first", "end"), [(1, 0, 1), (1, 0, 40), (3, 5, 5), (3, 38, 64), (0, 0, 40)])
def test_too_little_to_align_is_no_error(rows, first, end):
    attention = torch.zeros(2, rows, 40)
    starts = token_starts(attention, 0, first, end)
    assert len(starts) == rows
    assert ((starts >= first) & (starts < 40)).all()
