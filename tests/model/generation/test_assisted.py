"""Assisted decoding: the network's own text, whoever drafts and however much."""

from collections import Counter
from functools import cache
from types import SimpleNamespace

import pytest
import torch
import transformers
from transformers import GenerationMixin

from model.causal import WhisperForCausalLM
from model.config import WhisperConfig
from model.generation.assisted import judge
from model.generation.drafts import Draft
from model.generation.processors import WhisperNoSpeechDetection
from model.generation.search import search
from model.generation_config import GenerationConfig
from model.whisper import WhisperForConditionalGeneration
from tests.model.generation.twins import EOS, PAD, SIZES, START, audio, encoded, prompt, twins

TOKENS = {"eos_token_id": EOS, "pad_token_id": PAD}


class ReferenceAssistant(transformers.WhisperForCausalLM):
    """The reference's, which in 5.4.0 makes itself a cache without room for audio, and fails.

    Nor does it then read more of the first prompt than its first token.
    """

    def generate(self, input_ids, attention_mask, **given):
        return super().generate(input_ids=input_ids, attention_mask=torch.ones_like(input_ids), **given)

    def _prepare_cache_for_generation(self, generation_config, model_kwargs, *rest):
        super()._prepare_cache_for_generation(generation_config, model_kwargs, *rest)
        if isinstance(model_kwargs["past_key_values"], transformers.DynamicCache):
            both = (model_kwargs["past_key_values"], transformers.DynamicCache())
            model_kwargs["past_key_values"] = transformers.EncoderDecoderCache(*both)


@cache
def assistants(likeness=1.0):
    """A decoder alone, ours and the reference's: the network's first layer, and noise as far as it is not alike."""
    network, _ = twins(1)
    sizes = SIZES | {"decoder_layers": 1}
    ours = WhisperForCausalLM(WhisperConfig(**sizes)).eval().requires_grad_(requires_grad=False)
    state = network.state_dict()
    generator = torch.Generator().manual_seed(3)
    for name, weight in ours.state_dict().items():
        noise = 0.3 * torch.randn(weight.shape, generator=generator)
        weight.copy_(likeness * state[name] + (1 - likeness) * noise)
    theirs = ReferenceAssistant(
        transformers.WhisperConfig(**sizes, attn_implementation="eager", begin_suppress_tokens=None)
    ).eval()
    theirs.load_state_dict(ours.state_dict())
    theirs.generation_config = transformers.GenerationConfig(decoder_start_token_id=START, **TOKENS)
    return ours, theirs


def found(settings, assistant=None, likeness=1.0, **drafting):
    """What the assisted search returns."""
    ours, _ = twins(1)
    assistant = assistants(likeness)[0] if assistant is None else assistant
    assistant.generation_config = GenerationConfig(**drafting)
    features = audio(1, 1)
    config = GenerationConfig(**TOKENS | settings)
    return search(ours, prompt(1), encoded(ours, features), config, assistant_model=assistant, input_features=features)


def alone(settings):
    ours, _ = twins(1)
    return search(ours, prompt(1), encoded(ours, audio(1, 1)), GenerationConfig(**TOKENS | settings))


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("eos", [EOS, [EOS, 21, 18]])
def test_greedy_text_is_the_network_s_own_and_the_reference_s(eos):
    settings = {"max_new_tokens": 30, "eos_token_id": eos}
    _, theirs = twins(1)

    text = found(settings)

    expected = GenerationMixin.generate(
        theirs, audio(1, 1), decoder_input_ids=prompt(1), assistant_model=assistants()[1], **TOKENS | settings
    )
    assert text.tolist() == expected.tolist() == alone(settings).tolist()


@pytest.mark.parametrize("likeness", [1.0, 0.3])
@pytest.mark.parametrize(
    "drafting",
    [
        {"num_assistant_tokens": 1}, {"num_assistant_tokens": 7, "assistant_confidence_threshold": 0.0},
        {"num_assistant_tokens": 20, "assistant_confidence_threshold": 0.0},
        {"num_assistant_tokens": 2, "num_assistant_tokens_schedule": "heuristic_transient"},
    ],
)  # fmt: skip
def test_how_much_is_drafted_does_not_matter(drafting, likeness):
    settings = {"max_new_tokens": 22, "eos_token_id": [EOS, 18], "no_repeat_ngram_size": 2}

    assert found(settings, likeness=likeness, **drafting).tolist() == alone(settings).tolist()


def test_an_assistant_with_an_encoder_of_its_own_hears_by_it():
    network, _ = twins(2)
    settings = {"max_new_tokens": 20}

    assert found(settings, assistant=network).tolist() == alone(settings).tolist()


@pytest.mark.parametrize("size", [1, 2])
def test_the_text_itself_may_draft(size):
    settings = {"max_new_tokens": 40}
    drafting = {"prompt_lookup_num_tokens": 3, "max_matching_ngram_size": size}
    network, _ = twins(0)
    outputs, calls = encoded(network, audio(1)), []
    hook = network.register_forward_hook(lambda *_: calls.append(1))

    expected = search(network, prompt(1), outputs, GenerationConfig(**TOKENS | settings))
    plain = len(calls)
    text = search(network, prompt(1), outputs, GenerationConfig(**TOKENS | settings | drafting))
    hook.remove()

    assert text.tolist() == expected.tolist()
    assert len(calls) - plain < plain


def test_a_good_assistant_saves_passes():
    network, _ = twins(1)
    calls = []
    hook = network.register_forward_hook(lambda *_: calls.append(1))
    twin = WhisperForCausalLM(WhisperConfig(**SIZES)).eval()
    twin.load_state_dict({name: weight for name, weight in network.state_dict().items() if "encoder." not in name})

    text = found({"max_new_tokens": 30}, assistant=twin, num_assistant_tokens=9, assistant_confidence_threshold=0.0)
    hook.remove()

    assert text.shape[1] == 33
    assert len(calls) == 3


@pytest.mark.parametrize(("schedule", "kept"), [("heuristic", {1, 2, 3, 4, 7}), ("heuristic_transient", {5})])
def test_the_heuristic_is_kept_by_the_assistant(schedule, kept):
    drafting = {"num_assistant_tokens": 5, "num_assistant_tokens_schedule": schedule}
    assistant = assistants(0.0)[0]

    found({"max_new_tokens": 12}, assistant=assistant, **drafting, assistant_confidence_threshold=0.0)

    assert assistant.generation_config.num_assistant_tokens in kept


OUTPUTS = {
    "max_new_tokens": 12, "return_dict_in_generate": True, "output_scores": True, "output_logits": True,
    "output_attentions": True, "output_hidden_states": True,
}  # fmt: skip


@pytest.mark.parametrize("good", [True, False])
def test_outputs_are_those_of_a_search_alone(good):
    assistant = twins(1)[0] if good else assistants()[0]
    drafting = {"num_assistant_tokens": 4, "assistant_confidence_threshold": 0.0}

    one, other = found(OUTPUTS, assistant=assistant, **drafting), alone(OUTPUTS)

    assert list(one) == list(other)
    for name in ("scores", "logits"):
        torch.testing.assert_close(torch.stack(one[name]), torch.stack(other[name]), atol=1e-4, rtol=1e-4)
    for name in ("decoder_attentions", "cross_attentions", "decoder_hidden_states"):
        assert len(one[name]) == len(other[name]) == 12
        for layers, expected in zip(one[name], other[name], strict=True):
            for layer, wanted in zip(layers, expected, strict=True):
                torch.testing.assert_close(layer, wanted, atol=1e-4, rtol=1e-4)


def test_the_probability_of_silence_is_read_before_anything_is_drafted():
    network, _ = twins(1)
    outputs, config = encoded(network, audio(1, 1)), GenerationConfig(max_new_tokens=6, **TOKENS)
    found = []
    for drafting in ({}, {"assistant_model": assistants()[0]}):
        detection = WhisperNoSpeechDetection(no_speech_token=30, begin_index=2)
        search(network, prompt(1), outputs, config, processors=[detection], **drafting)
        found.append(float(detection.no_speech_prob[0]))

    assert found[1] == pytest.approx(found[0], rel=1e-4)


def test_a_streamer_gets_the_prompt_and_every_token_once():
    network, _ = twins(1)
    got = []
    streamer = SimpleNamespace(put=got.append, end=lambda: got.append(None))

    text = search(
        network, prompt(1), encoded(network, audio(1, 1)), GenerationConfig(max_new_tokens=12, **TOKENS),
        assistant_model=assistants()[0], streamer=streamer,
    )  # fmt: skip

    assert got[0].tolist() == prompt(1).tolist()
    assert torch.cat(got[:-1], dim=1).tolist() == text.tolist()
    assert got[-1] is None


def test_a_criterion_ends_the_text_within_a_draft():
    text = alone({"max_new_tokens": 30})[0, 3:].tolist()
    place = 11
    network, _ = twins(1)

    def stop(ids, _scores):
        return ids.shape[1] == 3 + place

    cut = search(
        network, prompt(1), encoded(network, audio(1, 1)), GenerationConfig(max_new_tokens=30, **TOKENS),
        assistant_model=assistants()[0], stopping=[stop],
    )  # fmt: skip

    assert cut[0, 3:].tolist() == text[:place]


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("draw", range(3))
def test_a_seed_draws_the_reference_s_assisted_tokens(draw):
    settings = {"max_new_tokens": 20, "do_sample": True, "top_k": 0}
    _, theirs = twins(1)

    torch.manual_seed(draw)
    text = found(settings)

    torch.manual_seed(draw)
    expected = GenerationMixin.generate(
        theirs,
        audio(1, 1),
        decoder_input_ids=prompt(1),
        assistant_model=assistants()[1],
        **TOKENS | settings,
    )
    assert text.tolist() == expected.tolist()


def test_drawn_tokens_are_distributed_as_the_network_s_own():
    generator = torch.Generator().manual_seed(0)
    wanted, drafted = (2 * torch.randn(1, 3, 6, generator=generator) for _ in range(2))
    counts: list[Counter] = [Counter(), Counter(), Counter()]
    torch.manual_seed(1)
    for _ in range(4000):
        scores = drafted[:, :2]
        tokens = torch.multinomial(scores[0].softmax(dim=-1), 1).T
        chosen, accepted = judge(Draft(tokens, scores), wanted, sampling=True)
        assert chosen.shape == (1, accepted + 1)
        for place, token in enumerate(chosen[0].tolist()):
            counts[place][token] += 1

    for place in range(3):
        total = sum(counts[place].values())
        shares = torch.tensor([counts[place][token] / total for token in range(6)])
        # Five standard deviations of a share of one half.
        assert (shares - wanted[0, place].softmax(dim=-1)).abs().max() < 2.5 / total**0.5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"use_cache": False}, "assisted decoding needs use_cache=True"),
        (
            {"num_return_sequences": 2, "do_sample": True},
            "num_return_sequences must be 1 with assisted decoding, got 2",
        ),
        ({"num_beams": 2}, "assisted decoding needs num_beams=1, got 2"),
    ],
)
def test_what_a_draft_cannot_serve_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        found(settings)


def test_an_assistant_that_does_not_fit_is_refused():
    network, _ = twins(1)
    outputs, config = encoded(network, audio(1, 1)), GenerationConfig(max_new_tokens=4, **TOKENS)

    def decode(assistant):
        search(network, prompt(1), outputs, config, assistant_model=assistant)

    with pytest.raises(ValueError, match="the vocabulary of the model, 60 tokens, got 70"):
        decode(WhisperForCausalLM(WhisperConfig(**SIZES | {"vocab_size": 70})))
    with pytest.raises(ValueError, match="d_model must be 32, got 16"):
        decode(WhisperForCausalLM(WhisperConfig(**SIZES | {"d_model": 16})))
    with pytest.raises(ValueError, match="needs input_features"):
        decode(WhisperForConditionalGeneration(WhisperConfig(**SIZES)))
    with pytest.raises(ValueError, match="one input at a time, got a batch of 2"):
        search(network, prompt(2), encoded(network, audio(2, 1)), config, assistant_model=assistants()[0])
    with pytest.raises(ValueError, match="must be at least 1"):
        search(network, prompt(1), outputs, GenerationConfig(prompt_lookup_num_tokens=0, max_new_tokens=2))
