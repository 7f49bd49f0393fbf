import pytest
import torch

from model.generation.transition_scores import transition_scores
from tests.model.generation.listeners import networks, sound

ASKED = {"max_new_tokens": 8, "return_dict_in_generate": True, "output_scores": True, "language": "de"}


@pytest.mark.parametrize("normalize", [False, True])
def test_what_each_token_scored_is_the_reference_s(normalize):
    found, expected = [
        network.compute_transition_scores(output.sequences, output.scores, normalize_logits=normalize)
        for network in networks(1)
        for output in [network.generate(sound(0.9), **ASKED)]
    ]

    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("returned", [1, 2])
def test_scores_of_beams_add_up_to_those_of_their_sequences(returned):
    network, _ = networks(1)
    output = network.generate(sound(0.9), num_beams=3, num_return_sequences=returned, **ASKED)

    scores = network.compute_transition_scores(output.sequences, output.scores, output.beam_indices)

    assert scores.shape[0] == returned
    mean = scores.sum(dim=1) / (scores < 0).sum(dim=1)
    torch.testing.assert_close(mean, output.sequences_scores, atol=1e-4, rtol=1e-4)


def test_a_token_s_score_is_taken_from_the_row_it_came_from():
    scores = [torch.tensor([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]]), torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])]
    sequences, beams = torch.tensor([[9, 1, 0], [9, 0, 1]]), torch.tensor([[2, 1], [0, -1]])

    found = transition_scores(sequences, scores, beams)

    torch.testing.assert_close(found, torch.tensor([[0.6, 3.0], [0.1, 0.0]]))
