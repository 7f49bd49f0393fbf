import pytest
import torch
from torch import nn
from torch.nn import functional as F

from model.layers import int8
from model.layers.int8 import CHUNK_WITHOUT_VNNI, FEW, FEW_WITHOUT_VNNI, Int8Linear, int8_obstacle
from model.layers.stem import Int8Convolution

pytestmark = pytest.mark.skipif(bool(int8_obstacle()), reason=int8_obstacle() or "none")


def layer(n: int = 48, k: int = 96, *, bias: bool = True, steps: bool = True) -> tuple[Int8Linear, nn.Linear]:
    torch.manual_seed(1)
    linear = nn.Linear(k, n, bias=bias).requires_grad_(requires_grad=False)
    return Int8Linear(linear.weight, linear.bias, steps=steps), linear


def by_hand(linear: nn.Linear, x: torch.Tensor, level: int) -> torch.Tensor:
    """The same in whole numbers, written out."""
    row = x.abs().amax(1, keepdim=True) / level
    channel = linear.weight.abs().amax(1) / 127
    whole = (x / row).round().long() @ (linear.weight / channel[:, None]).round().long().T
    return whole.float() * channel * row + (0 if linear.bias is None else linear.bias)


@pytest.mark.parametrize("rows", [1, FEW, FEW + 1, FEW_WITHOUT_VNNI, FEW_WITHOUT_VNNI + 1, CHUNK_WITHOUT_VNNI + 1])
@pytest.mark.parametrize("bias", [True, False])
def test_products_are_those_of_whole_numbers(rows, bias):
    quantised, linear = layer(bias=bias)
    x = torch.randn(rows, 96)
    torch.testing.assert_close(quantised(x), by_hand(linear, x, quantised.level), rtol=1e-5, atol=1e-6)


def test_products_are_close_to_those_of_floats():
    quantised, linear = layer()
    x = torch.randn(300, 96)
    error = quantised(x) - linear(x)
    assert error.norm() <= 0.02 * linear(x).norm()


def test_a_row_depends_on_no_other_to_the_bit():
    quantised, _ = layer()
    x = torch.randn(2 * CHUNK_WITHOUT_VNNI + 7, 96)
    x[3] *= 1000  # a scale of all rows together would drown its neighbours
    together = quantised(x)
    for rows in (slice(0, 1), slice(2, 4), slice(1, 30), slice(1, 90), slice(5, 5 + CHUNK_WITHOUT_VNNI + 1)):
        assert torch.equal(quantised(x[rows]), together[rows])


def test_both_kernels_give_the_same_to_the_bit():
    one, _ = layer(steps=True)
    other, _ = layer(steps=False)
    x = torch.randn(one.few, 96)
    assert torch.equal(one(x), other(x))


@pytest.mark.parametrize(("rows", "share"), [(0, 1), (1, 1), (100, 100), (101, 51), (250, 84)])
def test_rows_are_divided_evenly_and_no_part_is_longer_than_a_chunk(rows, share):
    quantised, _ = layer()
    quantised.chunk = 100
    assert quantised.share(rows) == share


def test_rows_of_zeros_give_the_bias():
    quantised, linear = layer()
    assert torch.equal(quantised(torch.zeros(2, 96)), linear.bias.expand(2, -1))


def test_leading_dimensions_are_kept():
    quantised, _ = layer()
    assert quantised(torch.randn(2, 3, 96)).shape == (2, 3, 48)


def test_weights_of_any_floating_type_are_taken():
    torch.manual_seed(0)
    weight = torch.randn(8, 16)
    x = torch.randn(3, 16)
    for dtype in (torch.float16, torch.bfloat16):
        narrow = weight.to(dtype)
        assert torch.equal(Int8Linear(narrow)(x), Int8Linear(narrow.float())(x))


def test_without_vnni_sums_of_two_products_fit_16_bits(monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: False)
    quantised, linear = layer()
    x = torch.randn(5, 96)
    values = quantised.quantise(x).values
    assert 2 * int(values.max()) * 127 < 1 << 15
    assert (quantised(x) - linear(x)).norm() <= 0.04 * linear(x).norm()


def test_a_torch_without_the_kernel_is_an_obstacle(monkeypatch):
    def refuse(*_, **__):
        raise RuntimeError("no such engine")

    monkeypatch.setattr(int8, "Int8Linear", refuse)
    assert "no such engine" in int8_obstacle()


def test_a_convolution_of_whole_numbers_is_close_to_one_of_floats():
    torch.manual_seed(0)
    convolution = nn.Conv1d(24, 32, kernel_size=3, stride=2, padding=1).requires_grad_(requires_grad=False)
    for frames in (9, 10):
        x = F.gelu(torch.randn(2, 24, frames))
        exact, found = convolution(x), Int8Convolution(convolution)(x)
        assert found.shape == exact.shape
        assert (found - exact).norm() <= 0.02 * exact.norm()


def test_another_convolution_is_refused():
    with pytest.raises(ValueError, match="stride 2"):
        Int8Convolution(nn.Conv1d(8, 8, kernel_size=3, padding=1))
