import pytest
import torch

from model.layers.head import VocabularyHead

HIDDEN = torch.randn(5, 16, generator=torch.Generator().manual_seed(1))


def embedding(distinct: int, tokens: int) -> torch.Tensor:
    """Some rows many times, in any order."""
    generator = torch.Generator().manual_seed(2)
    rows = torch.randn(distinct, 16, generator=generator)
    return rows[torch.cat([torch.arange(distinct), torch.randint(distinct, (tokens - distinct,), generator=generator)])]


@pytest.mark.parametrize(("distinct", "rows"), [(1, 1), (30, 30), (100, 100), (101, 200), (200, 200)])
def test_rows_that_are_the_same_are_computed_once(distinct, rows):
    weight = embedding(distinct, 200)
    head = VocabularyHead(weight)
    assert head.rows == rows
    torch.testing.assert_close(head(HIDDEN), HIDDEN @ weight.T)


def test_tokens_of_one_row_have_one_logit():
    logits = VocabularyHead(embedding(30, 200))(HIDDEN)
    assert len(logits[0].unique()) == 30


def test_logits_are_float32_whatever_the_weights_are():
    assert VocabularyHead(embedding(30, 200).bfloat16())(HIDDEN.bfloat16()).dtype == torch.float32
