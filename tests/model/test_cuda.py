"""What only a GPU can show: that recorded steps are the steps, and that nothing in them waits. `pytest -k cuda`."""

import copy
from dataclasses import replace

import pytest
import torch

from model.audio.batch_log_mel import BatchLogMel
from model.decoding.graphs import GraphCapture, Stepping
from model.decoding.rows import Row
from model.decoding.step_counters import Reason
from model.decoding.tail import run_stretch
from model.recognizer import WhisperRecognizer
from tests.model.asking import request
from tests.model.small_whisper import noise, small_checkpoint
from tests.model.stepping import TOKENIZER, audio, make, record, row

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
CUDA = "cuda"


def on_cuda(lookahead: int = 1, **options):
    return make(Stepping(GraphCapture(torch.device(CUDA)), lookahead=lookahead), device=CUDA, **options)


ROWS = [row(), row(prompt=(1, 2, 3), limit=80), row(limit=9), row("de"), row(limit=23), row(limit=1)]


@pytest.mark.parametrize("lengths", [None, [100, 40, 64, 100, 33, 90]])
def test_graphs_say_what_passes_by_the_host_say(lengths):
    heard = audio().to(CUDA)
    told = None if lengths is None else torch.tensor(lengths, device=CUDA)
    expected = make(None).decode(audio(), None if lengths is None else torch.tensor(lengths), ROWS)
    decoder = on_cuda()
    for _ in range(2):
        for out, right in zip(decoder.decode(heard, told, ROWS), expected, strict=True):
            assert out.tokens == right.tokens
            assert out.log_probabilities == pytest.approx(right.log_probabilities, abs=1e-3)
            torch.testing.assert_close(out.attention.cpu(), right.attention, atol=1e-3, rtol=1e-2)
    assert decoder.counters.captures > 0
    assert decoder.counters.replays > 10 * decoder.counters.captures
    assert not decoder.counters.eager.total()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_graph_in_half_precision_does_what_its_step_does(dtype):
    heard = audio().to(CUDA, dtype)
    launched = make(Stepping(record), device=CUDA, dtype=dtype).decode(heard, None, ROWS)
    for out, right in zip(on_cuda(dtype=dtype).decode(heard, None, ROWS), launched, strict=True):
        assert out.tokens == right.tokens
        assert out.log_probabilities == pytest.approx(right.log_probabilities, abs=1e-3)


def test_a_stretch_of_steps_waits_for_the_device_only_where_tokens_are_read():
    decoder = on_cuda()
    with torch.inference_mode():
        states = [Row(one, 0.0, torch.device(CUDA)) for one in ROWS[:2]]
        cache = decoder._open(audio()[:2].to(CUDA), None, 100)
        decoder._run(states, cache, 0.0)
        step = decoder.steps.step(cache)
        torch.cuda.set_sync_debug_mode("error")
        try:
            launched, read = run_stretch(step, states, TOKENIZER.eot, leave=lambda _: False, lookahead=1)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    assert launched >= read > 5


def test_more_memory_than_there_is_means_no_graph():
    decoder = make(Stepping(GraphCapture(torch.device(CUDA)), budget=1000), device=CUDA)
    decoder.decode(audio().to(CUDA), None, ROWS)
    assert decoder.counters.eager[Reason.MEMORY]
    assert not decoder.counters.captures


def test_features_on_cuda_are_those_of_a_cpu():
    windows = [noise(seconds, seed) for seed, seconds in enumerate((0.5, 2.0, 30.0))]
    ours = BatchLogMel(128, torch.device(CUDA)).windows(windows, 3000)
    torch.testing.assert_close(
        ours.cpu(), BatchLogMel(128, torch.device("cpu")).windows(windows, 3000), atol=1e-4, rtol=0
    )


def test_a_recognizer_on_cuda_hears_what_one_on_a_cpu_hears(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)  # convolutions would be rounded to ten bits
    checkpoint = small_checkpoint(-1.2)
    moved = replace(checkpoint, model=copy.deepcopy(checkpoint.model).to(CUDA))
    asked = [request(seconds, seed=seed) for seed, seconds in enumerate((0.5, 2.0, 4.0))]
    recognizer = WhisperRecognizer(moved, dynamic=True)
    recognizer.warm_up()
    expected = WhisperRecognizer(checkpoint, dynamic=True).transcribe(asked)
    for ours, right in zip(recognizer.transcribe(asked), expected, strict=True):
        assert [word.text for word in ours.words] == [word.text for word in right.words]
    assert recognizer.step_counts()["captures"]
