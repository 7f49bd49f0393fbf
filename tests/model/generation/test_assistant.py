"""Speculative decoding by `generate`: the text is the one without an assistant, in fewer passes."""

import pytest
import torch

from model.causal import WhisperForCausalLM
from model.whisper import WhisperForConditionalGeneration
from tests.model.generation.listeners import networks, sound

SHORT = {"language": "en", "max_new_tokens": 16}


def counted(network: WhisperForConditionalGeneration) -> list[int]:
    """Note how many tokens each pass of the decoder reads."""
    passes: list[int] = []
    network.get_decoder().register_forward_hook(
        lambda _, __, given, ___: passes.append((given["input_ids"]).shape[1]), with_kwargs=True
    )
    return passes


@pytest.mark.parametrize("options", [{}, {"return_timestamps": True}, {"return_dict_in_generate": True}], ids=str)
def test_another_network_s_drafts_do_not_change_the_text(options):
    features = sound(1.0)
    ours, _ = networks(0)
    plain = ours.generate(features, **SHORT, **options)

    found = ours.generate(features, assistant_model=networks(1)[0], **SHORT, **options)

    texts = [each if isinstance(each, torch.Tensor) else each["sequences"] for each in (found, plain)]
    assert texts[0].tolist() == texts[1].tolist()


def test_the_text_is_the_reference_s():
    """With nothing that depends on the place of a token: the reference's drafts move that place."""
    features, free = sound(1.0), {"begin_suppress_tokens": None}
    ours, theirs = networks(0, **free)
    assistant, their_assistant = networks(1, **free)
    expected = theirs.generate(features, assistant_model=their_assistant, **SHORT)

    assert ours.generate(features, assistant_model=assistant, **SHORT).tolist() == expected.tolist()


def test_an_assistant_that_knows_saves_passes():
    ours, _ = networks(0)
    features = sound(2.5)
    plain = ours.generate(features, return_timestamps=True, language="en")
    drafts = WhisperForCausalLM(ours.config).eval()
    drafts.load_state_dict(ours.state_dict(), strict=False)
    passes = counted(ours)

    found = ours.generate(features, return_timestamps=True, language="en", assistant_model=drafts)

    assert found.tolist() == plain.tolist()
    assert max(passes[1:]) > 1
