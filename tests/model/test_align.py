import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.models.whisper.generation_whisper import _dynamic_time_warping, _median_filter

from model.align import align_tokens, alignment_cost, median_filter, path_starts


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


@pytest.mark.parametrize("width", [-1, 0, 2, 8])
def test_a_median_of_even_width_is_refused(width):
    with pytest.raises(ValueError, match=f"must be odd, got {width}"):
        median_filter(torch.zeros(2, 30), width)


def test_ties_go_the_way_of_the_reference():
    cost = np.zeros((6, 11))
    assert path_starts(cost).tolist() == reference_starts(cost).tolist()


def cheapest(cost):
    """What the cheapest path costs, cell by cell."""
    total = np.full(np.add(cost.shape, 1), np.inf)
    total[0, 0] = 0
    for i, j in np.ndindex(*cost.shape):
        total[i + 1, j + 1] = cost[i, j] + min(total[i, j], total[i, j + 1], total[i + 1, j])
    return total[-1, -1]


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 8), st.integers(1, 16), st.integers(0, 2**32 - 1))
def test_the_path_is_the_cheapest_where_ways_tie_too(rows, columns, seed):
    """Positions that nobody looks at cost the same for all tokens."""
    cost = np.random.default_rng(seed).integers(-1, 2, (rows, columns)).astype(np.float64)
    starts = [*path_starts(cost).tolist(), columns]
    found = 0
    for row, start, following in zip(cost, starts, starts[1:], strict=False):
        found += row[start:following].sum()
        if following < columns:  # the next row may begin below the last column of this one
            found += row[following] if start == following else min(0, row[following])
    assert found == cheapest(cost)


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
    assert align_tokens(attention, 0, 0, 60).starts.tolist() == pytest.approx(bounds[:4], abs=1)
    assert align_tokens(attention, 2, 20, 60).starts.tolist() == pytest.approx(bounds[2:4], abs=1)


@pytest.mark.parametrize(("rows", "first", "end"), [(1, 0, 1), (1, 0, 40), (3, 5, 5), (3, 38, 64), (0, 0, 40)])
def test_too_little_to_align_is_no_error(rows, first, end):
    found = align_tokens(torch.zeros(2, rows, 40), 0, first, end)
    for places in (found.starts, found.peaks):
        assert len(places) == rows
        assert ((places >= first) & (places < 40)).all()


def test_a_token_s_peak_is_where_its_query_looks_most_within_the_audio():
    attention = torch.full((2, 4, 64), 1e-3)
    for row, place in enumerate((8, 30, 20, 50)):
        attention[:, row, place - 4 : place + 5] = 1.0
    attention[:, 1, 60:] = 5.0  # beyond the audio
    assert align_tokens(attention, 0, 0, 58).peaks.tolist() == pytest.approx([8, 30, 20, 50], abs=4)
    assert align_tokens(attention, 2, 10, 58).peaks.tolist() == pytest.approx([20, 50], abs=4)


def test_a_flicker_of_attention_is_no_peak():
    """The median filter takes what lasts less than four positions, 80 ms, for nothing."""
    attention = torch.full((1, 3, 64), 1e-3)
    attention[0, 0, 10:20] = attention[0, 1, 30:40] = 1.0
    attention[0, 0, 55] = 9.0
    assert 10 <= align_tokens(attention, 0, 0, 64).peaks[0] < 20


def test_a_query_that_looks_nowhere_in_particular_may_still_listen_to_the_end():
    attention = torch.rand(2, 1, 40, generator=torch.Generator().manual_seed(1))
    assert align_tokens(attention, 0, 0, 33).peaks.tolist() == [32], "a single row has nothing to be compared with"
