"""What sampling draws from: processors that reshape or cut the distribution. Names and source as in `processors.py`."""

from __future__ import annotations

import torch
from torch import Tensor


class TemperatureLogitsWarper:
    """Flatten (above 1) or sharpen (below 1) the distribution."""

    def __init__(self, temperature: float) -> None:
        """temperature: above 0."""
        if not isinstance(temperature, (int, float)) or isinstance(temperature, bool) or not temperature > 0:
            raise ValueError(f"temperature must be a number above 0, got {temperature!r}; for greedy: do_sample=False")
        self.temperature = temperature

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:  # noqa: ARG002  # a processor's signature
        """Divide."""
        return scores / self.temperature


class _Cut:
    """A warper that sets some scores to a value that is never drawn."""

    def __init__(self, filter_value: float, min_tokens_to_keep: int) -> None:
        if not isinstance(min_tokens_to_keep, int) or min_tokens_to_keep < 1:
            raise ValueError(f"min_tokens_to_keep must be at least 1, got {min_tokens_to_keep!r}")
        self.filter_value = filter_value
        self.min_tokens_to_keep = min_tokens_to_keep

    def cut(self, scores: Tensor) -> Tensor:
        """Return a mask of the scores to cut, like `scores` in shape."""
        raise NotImplementedError

    def below_best(self, scores: Tensor) -> Tensor:
        """Return a mask of the scores below the `min_tokens_to_keep` best."""
        return scores < scores.topk(min(self.min_tokens_to_keep, scores.shape[-1])).values[..., -1:]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:  # noqa: ARG002  # a processor's signature
        """Cut."""
        return scores.masked_fill(self.cut(scores), self.filter_value)


class TopKLogitsWarper(_Cut):
    """Keep the k likeliest tokens."""

    def __init__(self, top_k: int, filter_value: float = -torch.inf, min_tokens_to_keep: int = 1) -> None:
        """top_k: at least 1."""
        super().__init__(filter_value, min_tokens_to_keep)
        if not isinstance(top_k, int) or top_k < 1:
            raise ValueError(f"top_k must be at least 1, got {top_k!r}")
        self.top_k = max(top_k, min_tokens_to_keep)

    def cut(self, scores: Tensor) -> Tensor:
        """Mask what is less than the k-th."""
        return scores < scores.topk(min(self.top_k, scores.shape[-1])).values[..., -1:]


class TopPLogitsWarper(_Cut):
    """Keep the fewest likeliest tokens whose mass is at least p."""

    def __init__(self, top_p: float, filter_value: float = -torch.inf, min_tokens_to_keep: int = 1) -> None:
        """top_p: in 0..1."""
        super().__init__(filter_value, min_tokens_to_keep)
        if not 0 <= top_p <= 1:
            raise ValueError(f"top_p must be in 0..1, got {top_p}")
        self.top_p = top_p

    def cut(self, scores: Tensor) -> Tensor:
        """Mask the unlikeliest tokens, as long as their mass is at most 1 - p."""
        ascending, order = scores.sort()
        tail = ascending.softmax(dim=-1).cumsum(dim=-1) <= 1 - self.top_p
        tail[..., -self.min_tokens_to_keep :] = False
        return tail.scatter(-1, order, tail)


class TopHLogitsWarper(_Cut):
    """Keep the likeliest tokens that hold a share of the distribution's entropy, of the 100 best.

    Source: Top-H decoding (arXiv 2509.02510).
    """

    TOP = 100

    def __init__(self, top_h: float, filter_value: float = -torch.inf) -> None:
        """top_h: in 0..1, without 0."""
        super().__init__(filter_value, 1)
        if not 0 < top_h <= 1:
            raise ValueError(f"top_h must be above 0 and at most 1, got {top_h}")
        self.top_h = top_h

    def cut(self, scores: Tensor) -> Tensor:
        """Mask all but the head of the distribution."""
        best, order = scores.topk(min(self.TOP, scores.shape[-1]))
        probabilities = normalised(best).softmax(dim=-1)
        share = -probabilities * probabilities.log()
        kept = share.cumsum(dim=-1) <= entropy(best) * self.top_h
        kept[..., 0] = True
        return torch.ones_like(scores, dtype=torch.bool).scatter(-1, order, ~kept)


class MinPLogitsWarper(_Cut):
    """Keep tokens at least p times as likely as the likeliest."""

    def __init__(self, min_p: float, filter_value: float = -torch.inf, min_tokens_to_keep: int = 1) -> None:
        """min_p: in 0..1."""
        super().__init__(filter_value, min_tokens_to_keep)
        if not 0 <= min_p <= 1:
            raise ValueError(f"min_p must be in 0..1, got {min_p}")
        self.min_p = min_p

    def cut(self, scores: Tensor) -> Tensor:
        """Mask the less likely, but not the best ones."""
        probabilities = scores.softmax(dim=-1)
        unlikely = probabilities < self.min_p * probabilities.amax(dim=-1, keepdim=True)
        best = probabilities.topk(min(self.min_tokens_to_keep, scores.shape[-1])).indices
        return unlikely.scatter(-1, best, value=False)


class TypicalLogitsWarper(_Cut):
    """Keep the tokens whose surprise is nearest to the entropy, up to a mass. Source: Meister et al. 2022."""

    def __init__(self, mass: float = 0.9, filter_value: float = -torch.inf, min_tokens_to_keep: int = 1) -> None:
        """mass: between 0 and 1."""
        super().__init__(filter_value, min_tokens_to_keep)
        if not 0 < mass < 1:
            raise ValueError(f"typical_p must be between 0 and 1, got {mass}")
        self.mass = mass

    def cut(self, scores: Tensor) -> Tensor:
        """Mask the untypical."""
        surprise = -scores.log_softmax(dim=-1)
        mean = (surprise * (-surprise).exp()).nansum(dim=-1, keepdim=True)
        distance, order = (surprise - mean).abs().sort()
        mass = scores.gather(-1, order).softmax(dim=-1).cumsum(dim=-1)
        last = (mass < self.mass).sum(dim=-1, keepdim=True).clamp(max=scores.shape[-1] - 1)
        untypical = distance > distance.gather(-1, last)
        untypical[..., : self.min_tokens_to_keep] = False
        return untypical.scatter(-1, order, untypical)


class EpsilonLogitsWarper(_Cut):
    """Keep tokens of at least this probability. Source: Hewitt et al. 2022."""

    def __init__(self, epsilon: float, filter_value: float = -torch.inf, min_tokens_to_keep: int = 1) -> None:
        """epsilon: between 0 and 1."""
        super().__init__(filter_value, min_tokens_to_keep)
        if not 0 < epsilon < 1:
            raise ValueError(f"epsilon_cutoff must be between 0 and 1, got {epsilon}")
        self.epsilon = epsilon

    def cut(self, scores: Tensor) -> Tensor:
        """Mask the unlikely, but not the best ones."""
        return (scores.softmax(dim=-1) < self.epsilon) & self.below_best(scores)


class EtaLogitsWarper(_Cut):
    """As epsilon, lower where the distribution is flat. Source: Hewitt et al. 2022, equation 4."""

    def __init__(self, epsilon: float, filter_value: float = -torch.inf, min_tokens_to_keep: int = 1) -> None:
        """epsilon: between 0 and 1."""
        super().__init__(filter_value, min_tokens_to_keep)
        if not 0 < epsilon < 1:
            raise ValueError(f"eta_cutoff must be between 0 and 1, got {epsilon}")
        self.epsilon = epsilon

    def cut(self, scores: Tensor) -> Tensor:
        """Mask the unlikely, but not the best ones."""
        epsilon = torch.tensor(self.epsilon, device=scores.device)
        eta = torch.minimum(epsilon, epsilon.sqrt() * (-entropy(scores)).exp())
        return (scores.softmax(dim=-1) < eta) & self.below_best(scores)


def normalised(scores: Tensor) -> Tensor:
    """Return log-probabilities."""
    return scores - scores.logsumexp(dim=-1, keepdim=True)


def entropy(scores: Tensor) -> Tensor:
    """Return the entropy of each distribution, (..., 1)."""
    logits = normalised(scores)
    # What cannot come has none; 0 * inf would be nan.
    share = logits.clamp(min=torch.finfo(logits.dtype).min) * logits.softmax(dim=-1)
    return -share.sum(dim=-1, keepdim=True)
