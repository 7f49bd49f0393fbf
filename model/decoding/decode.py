"""The decoding loop: ragged rows in one batch, drafts verified, one host synchronisation a pass.

Theory of operation. A row is a list of tokens that are certain, followed by some that are guessed. Each pass feeds a
row what it has not been fed and reads, at the last certain token and at each guessed one, which token the rules would
choose there. Guesses are kept as far as they equal the choices, and the first choice that differs is the next certain
token: what comes out is what step-by-step decoding would write, only in fewer passes. The first pass feeds prompt,
forced prefix and draft. After a difference the rest of the draft is tried again where it seems to continue, with what
was chosen after the wrong guess in place of what was guessed.

Rows need nothing of each other: each has its own positions, its own length of audio, its own rules, its own end. Rows
that are done leave the batch when that frees enough.

Where no row has a draft any more, all advance by one token a pass. On a GPU these passes are steps that need no host
(`step.py`, `graphs.py`, `tail.py`); a CPU makes them as it makes the others, which is no slower there.

Source: Leviathan et al. 2023, section 2.3, with the draft given instead of a smaller model's; Santilli et al. 2023,
algorithm 1, for what is chosen after a wrong guess.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from model.decoding.graphs import Stepping, StepSource
from model.decoding.rows import Decoded, DecodeRow, Row
from model.decoding.step_counters import Reason, StepCounters
from model.decoding.tail import run_stretch
from model.layers.cache import DecoderCache
from model.layers.head import VocabularyHead
from model.layers.window_memory import AttentionMemory
from model.rules import Limits, LogitRules
from model.whisper import WhisperForConditionalGeneration

HEAD_ROWS, GPU_HEAD_ROWS = 64, 1024
"""Positions whose logits are computed together: 64 x 51,865 float32 are 13 MB, which a CPU's cache still holds."""
CROWDED = 0.9
"""Share of rows not done below which the others leave the batch."""
Pick: TypeAlias = Callable[[Tensor, Sequence[Limits]], tuple[Tensor, Tensor]]
"""Logits (n, vocab_size) and n limits to n tokens and their log-probabilities."""


class BatchDecoder:
    """Decodes batches with one network and its rules. Keeps nothing between calls."""

    def __init__(
        self,
        network: WhisperForConditionalGeneration,
        rules: LogitRules,
        *,
        nospeech: int,
        alignment_heads: Sequence[tuple[int, int]] = (),
        stepping: Stepping | None = None,
    ) -> None:
        """nospeech: the no-speech token; alignment_heads: (layer, head) pairs whose attention is kept.

        stepping: how passes without drafts are made; what is best on the network's device if None.
        """
        self._decoder = network.model.decoder
        self._head = network.vocabulary or VocabularyHead(network.proj_out.weight.detach())
        self._rules = rules
        self._nospeech = nospeech
        self._heads = tuple(alignment_heads)
        device = self._decoder.embed_positions.weight.device
        self._head_rows = HEAD_ROWS if device.type == "cpu" else GPU_HEAD_ROWS
        stepping = stepping or Stepping.on(device)
        self._steps = StepSource(self._decoder, self._head, rules, self._heads, stepping) if stepping else None

    @property
    def steps(self) -> StepSource | None:
        """What makes steps; None where the host makes all passes."""
        return self._steps

    @property
    def counters(self) -> StepCounters | None:
        """How steps were made, by graph or not and why; None where the host makes all passes."""
        return self._steps.counters if self._steps else None

    @torch.inference_mode()
    def warm_up(self, positions: int) -> None:
        """Set up what batches over so many encoder positions will need, where that takes long: graphs."""
        if self._steps is not None:
            self._steps.prepare(positions)

    @torch.inference_mode()
    def detect(self, audio: Tensor, lengths: Tensor | None, sot: int, languages: Sequence[int]) -> list[list[float]]:
        """Return the logit of each of the language tokens for each row of audio; one pass.

        audio: (batch, n_audio_ctx, d_model); lengths: (batch,) valid positions, None for all.
        """
        cache = self._decoder.new_cache(audio, lengths, capacity=1)
        first = torch.zeros((len(audio), 1), dtype=torch.long, device=audio.device)
        hidden, _ = self._decoder.extend(first + sot, first, cache)
        tokens = torch.tensor(languages, device=audio.device)
        logits: list[list[float]] = self._head(hidden[:, 0])[:, tokens].tolist()
        return logits

    @torch.inference_mode()
    def decode(
        self,
        audio: Tensor,
        lengths: Tensor | None,
        rows: Sequence[DecodeRow],
        temperature: float = 0.0,
        known: Sequence[AttentionMemory | None] = (),
    ) -> list[Decoded]:
        """Decode every row until its end of text or its limit.

        audio: encoder output (batch, n_audio_ctx, d_model); lengths: (batch,) positions that belong to each row, None
        for all; temperature 0 takes the best token, above it one is drawn (and drafts are of no use); known: what the
        decoder has made of each row's audio before, None for one that it has not heard, empty for none at all. A row
        may be no longer than max_target_positions, its limit included.
        """
        states = [Row(row, temperature, audio.device) for row in rows]
        capacity = max(len(row.head) + len(row.prefix) + row.limit for row in rows)
        # Copied, because rows will move.
        cache = self._open(audio, None if lengths is None else lengths.clone(), capacity, known)
        slots = states
        while any(not state.done for state in states):
            self._advance(slots, cache, temperature)
            places = [place for place, state in enumerate(slots) if not state.done]
            if 0 < len(places) <= CROWDED * len(slots):
                slots = [slots[place] for place in cache.keep(places)]
        for state in states:
            if state.attention:
                state.out.attention = torch.cat(state.attention, dim=1)[..., : audio.shape[1]]
        return [state.out for state in states]

    def _open(
        self, audio: Tensor, lengths: Tensor | None, capacity: int, known: Sequence[AttentionMemory | None] = ()
    ) -> DecoderCache:
        """Return an empty cache, where steps want it."""
        if self._steps is None:
            return self._decoder.new_cache(audio, lengths, capacity, known)
        return self._steps.open(audio, lengths, capacity, known)

    def _advance(self, slots: Sequence[Row], cache: DecoderCache, temperature: float) -> None:
        """Make one pass, or as many as need no drafts."""
        steps = self._steps
        single = all(state.done or (state.position and len(state.certain) + len(state.draft) == 1) for state in slots)
        if steps is None or temperature > 0 or not single:
            self._run(slots, cache, temperature)
            if steps is not None and single:
                steps.counters.eager[Reason.SAMPLING] += 1
            return
        launched, read = run_stretch(
            steps.step(cache),
            slots,
            self._rules.eot,
            leave=lambda live: steps.closes_ranks(len(slots), live),
            lookahead=steps.lookahead,
        )
        steps.counters.unread += launched - read

    def _run(self, states: Sequence[Row], cache: DecoderCache, temperature: float) -> None:
        """Make one pass over all slots; done rows ride along unread."""
        feeds = [[] if state.done else state.certain + state.draft for state in states]
        width = max(map(len, feeds))
        device = cache.cross_lengths.device
        tokens = torch.tensor([feed + [0] * (width - len(feed)) for feed in feeds], device=device)
        starts = torch.tensor([state.position for state in states], device=device)
        # The last cell is never a token's own: what pads a row beyond its end may fall there.
        positions = (starts[:, None] + torch.arange(width, device=device)).clamp_(max=cache.capacity - 1)
        hidden, attention = self._decoder.extend(tokens, positions, cache, self._heads)
        live = [(slot, state) for slot, state in enumerate(states) if not state.done]
        wanted: list[int] = []
        limits: list[Limits] = []
        for slot, state in live:
            at = slot * width + len(state.certain) - 1
            wanted += range(at, at + len(state.draft) + 1)
            here = self._rules.limits(state.decoded + state.draft, len(state.decoded))
            if state.start.endless and not state.out.tokens:
                here[0] = here[0]._replace(end=False)
            limits += here
        fresh = [(slot, state) for slot, state in live if state.position == 0]
        wanted += [slot * width + state.start.sot for slot, state in fresh]
        pick = _Sampler(self._rules, temperature, [s for _, s in live]) if temperature > 0 else self._rules.choose
        flat = hidden.flatten(0, 1)[torch.tensor(wanted, device=device)]
        chosen, silence = self._choose(flat, limits, pick)
        for (_, state), probability in zip(fresh, silence, strict=True):
            state.out.no_speech = probability
        for slot, state in live:
            count, certain = len(state.draft) + 1, len(state.certain)
            first = len(state.start.head) - 1 if state.position == 0 else certain - 1
            kept = state.receive(chosen[:count], self._rules.eot)
            chosen = chosen[count:]
            state.out.passes += 1
            if attention is not None:
                state.attention.append(attention[slot, :, first : certain - 1 + kept])

    def _choose(
        self, hidden: Tensor, limits: Sequence[Limits], pick: Pick
    ) -> tuple[list[tuple[int, float]], list[float]]:
        """Return token and log-probability for each of `limits`, and the no-speech probability for what follows them.

        hidden: (n, d_model), n >= len(limits). The one synchronisation of a pass.
        """
        found, silence = [], []
        for at in range(0, len(hidden), self._head_rows):
            logits = self._head(hidden[at : at + self._head_rows])
            here = limits[at : at + self._head_rows]
            raw = logits[len(here) :]
            silence.append((raw[:, self._nospeech] - raw.logsumexp(dim=1)).exp())
            if here:
                token, log_probability = pick(logits[: len(here)], here)
                found.append(torch.stack([token.double(), log_probability.double()]))
        values: list[float] = torch.cat([torch.cat(found, dim=1).flatten(), torch.cat(silence).double()]).tolist()
        n = len(limits)
        chosen = [(int(token), value) for token, value in zip(values[:n], values[n : 2 * n], strict=True)]
        return chosen, values[2 * n :]


class _Sampler:
    """Draws tokens; each row has its own generator, so that its neighbours change nothing."""

    def __init__(self, rules: LogitRules, temperature: float, rows: Sequence[Row]) -> None:
        self._rules = rules
        self._temperature = temperature
        self._rows = iter(rows)

    def __call__(self, logits: Tensor, limits: Sequence[Limits]) -> tuple[Tensor, Tensor]:
        """Draw from the tempered distribution; the log-probability is the untempered one, as in the reference."""
        allowed = self._rules.apply(logits, limits)
        noise = torch.empty_like(allowed)
        for line in noise:
            line.exponential_(generator=next(self._rows).generator)
        # The smallest of exponentials divided by probabilities falls on each token as often as its probability.
        token = ((allowed / self._temperature).softmax(dim=1) / noise).argmax(dim=1, keepdim=True)
        return token[:, 0], allowed.log_softmax(dim=1).gather(1, token)[:, 0]
