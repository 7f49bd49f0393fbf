import pytest
import torch

from model import device
from model.config import ModelError
from model.device import Precision, choose_device, choose_precision, default_threads
from model.layers.int8 import int8_obstacle


def test_an_unknown_device_or_precision_is_named():
    for name in ("gpu", "cuda:99", "mps"):
        with pytest.raises(ModelError, match=name):
            choose_device(name)
    with pytest.raises(ModelError, match="int7"):
        choose_precision("int7", torch.device("cpu"))
    with pytest.raises(ModelError, match="float16 needs a GPU"):
        choose_precision("float16", torch.device("cpu"))


def test_auto_is_int8_on_a_cpu_where_that_pays_and_can_be():
    cpu = torch.device("cpu")
    assert choose_precision("auto", cpu, worth_int8=False) is Precision.FLOAT32
    assert choose_precision("auto", cpu) is (Precision.FLOAT32 if int8_obstacle() else Precision.INT8)
    assert choose_precision("auto", torch.device("cuda")) is Precision.FLOAT16


def test_int8_is_for_a_cpu_whose_torch_can_multiply_in_it(monkeypatch):
    with pytest.raises(ModelError, match="int8 is for a CPU"):
        choose_precision("int8", torch.device("cuda"))
    monkeypatch.setattr(device, "int8_obstacle", lambda: "no engine")
    with pytest.raises(ModelError, match="int8 cannot be: no engine"):
        choose_precision("int8", torch.device("cpu"))
    assert choose_precision("auto", torch.device("cpu")) is Precision.FLOAT32


def test_one_core_is_left_to_the_event_loop():
    alone, beside = default_threads(alone=True), default_threads(alone=False)
    assert beside == max(1, alone - 1)


def test_recognition_on_a_gpu_does_without_the_attention_that_makes_a_plan_for_each_shape(monkeypatch):
    asked = []
    monkeypatch.setattr(torch.backends.cuda, "enable_cudnn_sdp", lambda *, enabled: asked.append(enabled))
    device.set_up(torch.device("cpu"))
    assert asked == []
    device.set_up(torch.device("cuda"))
    assert asked == [False]
