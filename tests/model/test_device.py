import pytest
import torch

from model.config import ModelError
from model.device import choose_device, choose_precision


def test_an_unknown_device_or_precision_is_named():
    for name in ("gpu", "cuda:99", "mps"):
        with pytest.raises(ModelError, match=name):
            choose_device(name)
    with pytest.raises(ModelError, match="int7"):
        choose_precision("int7", torch.device("cpu"))
    with pytest.raises(ModelError, match="float16 needs a GPU"):
        choose_precision("float16", torch.device("cpu"))
    assert choose_precision("auto", torch.device("cpu")) is torch.float32
