"""What training leaves becomes a model that can be loaded."""

from __future__ import annotations

import shutil

import pytest
import torch
import transformers
from safetensors.torch import load_file

from model.checkpoint import load_checkpoint
from model.demo import vocabulary
from model.demo.export import contracted, export
from model.demo.network import DEAF, SILENCE, DemoNetwork
from model.files.hub import demo_folder


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Export a network as it is before its first step; yield it and the folder."""
    folder = tmp_path_factory.mktemp("demo")
    torch.manual_seed(1)
    network = DemoNetwork()
    torch.save({"mean": network.state_dict()}, folder / "checkpoint.pt")
    export(folder / "checkpoint.pt", folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(demo_folder() / name, folder)
    return network, folder


def test_what_training_leaves_is_a_model_with_the_full_vocabulary(exported):
    network, folder = exported
    found = load_checkpoint(str(folder), dtype=torch.float32)
    rows = vocabulary.rows_of_vocabulary()
    small = network.whisper.model.decoder.embed_tokens.weight.detach()

    assert found.model.proj_out.weight.shape[0] == 51_865
    assert torch.equal(found.model.proj_out.weight, small[rows].half().float())
    assert found.model.proj_out.weight is found.model.model.decoder.embed_tokens.weight


def test_it_computes_in_transformers_what_it_computes_here(exported):
    _, folder = exported
    ours = load_checkpoint(str(folder), dtype=torch.float32).model.eval()
    theirs = transformers.WhisperForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    features = torch.randn(1, 80, 3000, generator=torch.Generator().manual_seed(2))
    tokens = torch.tensor([[50258, 50259, 50359, 50364]])
    with torch.inference_mode():
        found, expected = (net(features, decoder_input_ids=tokens).logits for net in (ours, theirs))

    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_a_run_can_go_on_from_it(exported):
    network, folder = exported
    state = contracted(load_file(folder / "model.safetensors"))
    torch.manual_seed(2)
    fresh = DemoNetwork()
    fresh.whisper.load_state_dict(state)

    for name, weight in network.whisper.state_dict().items():
        assert torch.equal(fresh.whisper.state_dict()[name], weight.half().float()), name


@torch.no_grad()
def test_bands_that_tell_the_speaker_and_not_the_word_are_not_heard():
    torch.manual_seed(3)
    network = DemoNetwork()
    first = network.whisper.model.encoder.conv1
    first.weight.normal_()
    features = torch.randn(1, 80, 40)
    silent = features.clone()
    silent[:, list(DEAF)] = SILENCE
    before = first(silent)[..., 1:-1]
    network.deafen()

    torch.testing.assert_close(first(features)[..., 1:-1], before, rtol=1e-4, atol=1e-4)
    network.deafen()
    torch.testing.assert_close(first(features)[..., 1:-1], before, rtol=1e-4, atol=1e-4)
