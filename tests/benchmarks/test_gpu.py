import json
import sys
from dataclasses import asdict
from time import monotonic

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import gpu, machine
from benchmarks.gpu_measure import Bench, Update, Updates, damaged
from benchmarks.gpu_network import SHAPES, Shape, build, decoder_of
from benchmarks.gpu_report import describe, knee
from benchmarks.gpu_reuse import ReusedUpdates
from benchmarks.roofline import DEVICES, device_of, encoder_flops, step_bytes, update_seconds
from model.decoding.encode import WindowEncoder
from model.device import Precision

CPU = torch.device("cpu")
TOY = Shape("toy", 64, 1, 2, 2, 1, vocabulary=51865)
SMALLEST = gpu.Sizes((256,), (1, 2), (1.0,), (0.9,), (1, 2), compiled=False)
BENCH = Bench(CPU, 0.0, rounds=1)


def cost(encoder: float, decoder: float = 0.0) -> Update:
    return Update(encoder, decoder, 0.0, 1, 0.0)


def test_everything_is_measured_and_told(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "RESULTS", tmp_path)
    monkeypatch.setattr(gpu, "QUICK", SMALLEST)
    monkeypatch.setattr(gpu, "Bench", lambda *_: BENCH)
    monkeypatch.setitem(SHAPES, "toy", TOY)
    monkeypatch.setattr(sys, "argv", ["gpu", "--device", "cpu", "--models", "toy", "--quick"])
    gpu.main()
    assert (tmp_path / "gpu.png").stat().st_size > 1000
    table = (tmp_path / "gpu.md").read_text()
    assert "## toy" in table
    assert "Not measured" not in table
    (found,) = json.loads((tmp_path / "gpu.json").read_text())["models"]
    assert found["shape"] == asdict(TOY)
    assert [(one["batch"], one["positions"]) for one in found["encoder"]] == [(1, 256), (2, 256)]
    assert all(one["eager"] > 0 and "graph" not in one for one in found["steps"])
    assert [one["draft"] for one in found["turnaround"]] == [0.9]
    assert {(one["streams"], one["draft"]) for one in found["crowds"]} == {(1, None), (2, None), (1, 0.76), (2, 0.76)}
    assert [(one["streams"], one["draft"]) for one in found["reused"]] == [(1, 0.76), (2, 0.76)]


def test_what_there_is_no_time_for_is_said_to_be_left_out():
    results = gpu.Measurement(BENCH, TOY, Precision.FLOAT32, SMALLEST, monotonic() - 1).run()
    assert len(results.turnaround) == 1
    assert any("no time left" in what for what in results.left_out)
    table = describe([results], "here", "NVIDIA H200", "")
    assert "Not measured" in table
    assert "790 TFLOP/s" in table


def test_a_part_that_fails_costs_the_others_nothing(monkeypatch, capsys):
    def broken(*_, **__):
        raise RuntimeError("no compiler is here")

    monkeypatch.setattr(gpu, "step_seconds", broken)
    results = gpu.Measurement(BENCH, TOY, Precision.FLOAT32, SMALLEST, monotonic() + 60).run()

    assert results.left_out == ["steps: RuntimeError: no compiler is here"]
    assert "Traceback" in capsys.readouterr().err
    assert all((results.turnaround, results.crowds, results.reused, results.encoder))
    assert "no compiler is here" in describe([results], "here", "CPU", "")


def test_the_roofline_is_of_as_many_positions_as_an_update_encodes():
    results = gpu.Results(TOY, crowds={(1, 5.0, None): cost(0.01)})
    most = 1 / (2 * update_seconds(TOY, DEVICES["H200"], 320))

    assert f"| {most:.0f} |" in describe([results], "here", "NVIDIA H200", "")


@pytest.mark.parametrize("acceptance", [0.5, 0.9, 1.0])
def test_a_draft_has_as_much_of_the_text_right_as_it_was_asked_for(acceptance):
    updates = Updates(BENCH, TOY, build(TOY, CPU, Precision.FLOAT32))
    with torch.inference_mode():
        update = updates.measure(2, 1.0, acceptance)
    assert update.passes <= round(30 * (1 - acceptance)) + 1
    draft = damaged(list(range(30)), acceptance)
    assert sum(at == token for at, token in enumerate(draft)) == round(30 * acceptance)


def test_an_update_with_reuse_is_the_mean_of_parts_and_a_whole_one(monkeypatch):
    network = build(TOY, CPU, Precision.FLOAT32)
    computed = []
    encode = WindowEncoder.encode

    def counted(self, batch, full=None):
        found = encode(self, batch, full)
        computed.append([window.computed for window in found])
        return found

    monkeypatch.setattr(WindowEncoder, "encode", counted)
    with torch.inference_mode():
        update = ReusedUpdates(BENCH, TOY, network).measure(2, 3.0, 0.9)
    assert computed[:2] == [[1500, 1500]] * 2
    assert computed[-4:] == [[50 + 25 + 64] * 2] * 4
    assert 0 < update.features_and_encoder < 1e9
    assert update.passes <= 4


def test_every_shape_says_a_text_of_different_tokens():
    with torch.inference_mode():
        updates = Updates(BENCH, TOY, build(TOY, CPU, Precision.FLOAT32))
        assert updates.measure(1, 1.0, None).passes == 30
    assert SHAPES["large-v3-turbo"].decoder_layers == 4


def test_without_a_gpu_it_says_so(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["gpu"])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit) as exit_:
        gpu.main()
    assert exit_.value.code == 69
    assert "no CUDA GPU" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("model", "positions", "gflop"), [("large-v3-turbo", 1500, 2313), ("small", 1500, 386.6), ("base", 314, 15.7)]
)
def test_operations_are_those_of_the_published_shapes(model, positions, gflop):
    assert encoder_flops(SHAPES[model], positions) == pytest.approx(gflop * 1e9, rel=0.01)


def test_operations_are_those_that_torch_counts():
    network = build(TOY, CPU, Precision.FLOAT32)
    features = torch.randn(1, 80, 512)
    # The fused kernel of a CPU is not counted.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter, torch.inference_mode():
        decoder_of(TOY, network)._decoder.new_cache(network.model.encoder.encode(features))
    assert counter.get_total_flops() == pytest.approx(encoder_flops(TOY, 256), rel=0.02)


def test_a_step_reads_weights_once_and_what_each_row_holds():
    turbo = SHAPES["large-v3-turbo"]
    assert step_bytes(turbo, 1, 1500, 0) - step_bytes(turbo, 0, 1500, 0) == pytest.approx(30.7e6, rel=0.01)
    assert step_bytes(turbo, 0, 1500) == pytest.approx(316e6, rel=0.01)
    assert update_seconds(turbo, DEVICES["H200"], 1500) == pytest.approx(2.928e-3, rel=0.01)
    assert device_of("NVIDIA H200") == DEVICES["H200"]
    assert device_of("CPU") is None


def test_capacity_is_that_of_the_best_batch_that_is_not_too_slow():
    streams, together = knee({1: cost(0.01), 4: cost(0.02), 64: cost(0.3)})
    assert together == 4
    assert streams == pytest.approx(4 / 0.02 / 2)
    assert knee({1: cost(0.5), 2: cost(0.6)}) == (1.0, 1)
