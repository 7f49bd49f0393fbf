"""The text decoder of Whisper: token embeddings, learned positions, layers with cross-attention.

One loop over the layers serves two ways in: `WhisperDecoder.extend` for ragged rows in one rectangular cache, and
`WhisperDecoder.forward`, which is the reference's. Source: Radford et al. 2022, section 2.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from model.config import WhisperConfig
from model.layers.attention import WhisperAttention
from model.layers.cache import DecoderCache, LayerCache
from model.layers.decoder_layer import Sight, WhisperDecoderLayer
from model.layers.dropout import dropout
from model.layers.masks import text_mask
from model.layers.outputs import BaseModelOutputWithPastAndCrossAttentions
from model.layers.sight import device_sight, host_sight
from model.layers.traces import Traces
from model.layers.window_memory import AttentionMemory, Span, lengths, rows_of


class WhisperDecoder(nn.Module):
    """Tokens and audio features to hidden states."""

    def __init__(self, config: WhisperConfig) -> None:
        """Build embeddings, learned positions and layers."""
        super().__init__()
        self.config = config
        # Reading the padding token trains nothing, in the reference. It may lie beyond a small vocabulary.
        padding = config.pad_token_id if 0 <= (config.pad_token_id or 0) < config.vocab_size else None
        # Filled by NetworkBase.initialise: what nn.Embedding draws by itself would be drawn in vain.
        d, count, length = config.d_model, config.vocab_size, config.max_target_positions
        self.embed_tokens = nn.Embedding(count, d, padding, _weight=torch.empty(count, d))
        self.embed_positions = nn.Embedding(length, d, _weight=torch.empty(length, d))
        self.layers = nn.ModuleList(WhisperDecoderLayer(config) for _ in range(config.decoder_layers))
        self.layer_norm = nn.LayerNorm(config.d_model)

    def _blocks(self) -> list[WhisperDecoderLayer]:
        return cast("list[WhisperDecoderLayer]", list(self.layers))

    def attentions(self) -> list[WhisperAttention]:
        """Return the attention of each layer to the audio."""
        return [layer.encoder_attn for layer in self._blocks()]

    def hear(self, spans: Sequence[Span]) -> None:
        """Put what the layers make of some positions of the encoder's output into the memories of their windows."""
        rows = rows_of(spans)
        for index, own in enumerate(self.attentions()):
            keys, values = own.keys_values(rows)
            parts = (torch.split(part[0], lengths(spans), dim=1) for part in (keys, values))
            for span, k, v in zip(spans, *parts, strict=True):
                span.memory.cross.write(index, span.first, k, v)

    def new_cache(
        self,
        audio: Tensor,
        lengths: Tensor | None = None,
        capacity: int | None = None,
        known: Sequence[AttentionMemory | None] = (),
    ) -> DecoderCache:
        """Start decoding a batch of ragged rows.

        audio: encoder output (batch, n_audio_ctx, d_model); lengths: (batch,) valid positions a row, all if None;
        capacity: tokens a row may hold, max_target_positions if None; known: see `audio_cells`. What is known of a
        single row is not copied. Raises ValueError beyond that capacity.
        """
        limit = self.embed_positions.num_embeddings
        capacity = limit if capacity is None else capacity
        if not 0 < capacity <= limit:
            raise ValueError(f"capacity must be in 1..{limit} tokens, got {capacity}")
        return self._cache(audio, lengths, capacity, known)

    def audio_cells(
        self, layer: int, audio: Tensor, known: Sequence[AttentionMemory | None] = ()
    ) -> tuple[Tensor, Tensor]:
        """Return keys and values that a layer makes of audio, each (batch, heads, n_audio_ctx, head_dim).

        known: what `hear` has made of each row, None for a row that it has not heard; empty for none at all. Positions
        that a row does not have are zeros, or what a layer makes of zeros.
        """
        own = cast("WhisperDecoderLayer", self.layers[layer]).encoder_attn
        fresh = [row for row, memory in enumerate(known) if memory is None]
        if len(fresh) == len(known):
            return own.keys_values(audio)
        if len(known) == 1 and known[0] is not None:
            return known[0].keys[layer][None], known[0].values[layer][None]
        kept = next(memory for memory in known if memory is not None)
        shape = (len(audio), own.n_heads, audio.shape[1], own.head_dim)
        keys, values = (kept.keys[layer].new_zeros(shape) for _ in range(2))
        if fresh:
            keys[fresh], values[fresh] = own.keys_values(audio[fresh])
        for row, memory in enumerate(known):
            if memory is not None:
                heard = memory.keys[layer].shape[1]
                keys[row, :, :heard], values[row, :, :heard] = memory.keys[layer], memory.values[layer]
        return keys, values

    def _cache(
        self,
        audio: Tensor,
        lengths: Tensor | None = None,
        capacity: int = 0,
        known: Sequence[AttentionMemory | None] = (),
    ) -> DecoderCache:
        batch, n_audio, _ = audio.shape
        if lengths is None:
            lengths = torch.full((batch,), n_audio, device=audio.device)
        layers = [
            layer.cells(audio, capacity, self.audio_cells(index, audio, known))
            for index, layer in enumerate(self._blocks())
        ]
        return DecoderCache(layers, lengths, ragged=bool((lengths < n_audio).any()))

    def extend(
        self,
        tokens: Tensor,
        positions: Tensor,
        cache: DecoderCache,
        alignment_heads: Sequence[tuple[int, int]] = (),
    ) -> tuple[Tensor, Tensor | None]:
        """Run new tokens of ragged rows through the decoder.

        tokens, positions: (batch, n) long; a row's positions are those after what its cache already holds. Padding may
        repeat any position beyond the row's own tokens: it is overwritten or never seen.
        alignment_heads: (layer, head) pairs whose cross-attention is wanted.
        Returns hidden states (batch, n, d_model) and attention (batch, heads, n, n_audio_ctx) float32, or None.
        """
        x = self.embed_tokens(tokens) + self.embed_positions(positions)
        sight = host_sight(positions, cache) if positions.device.type == "cpu" else device_sight(positions, cache)
        traces = Traces()
        hidden = self._read(x, sight, traces, cache=cache, alignment_heads=alignment_heads)
        if not alignment_heads:
            return hidden, None
        wanted = {layer: [head for at, head in alignment_heads if at == layer] for layer in traces.cross}
        seen = [traces.cross[layer][:, wanted[layer].index(head)] for layer, head in alignment_heads]
        return hidden, torch.stack(seen, dim=1)

    def _read(
        self,
        x: Tensor,
        sight: Sight,
        traces: Traces,
        *,
        cache: DecoderCache | None = None,
        audio: Tensor | None = None,
        alignment_heads: Sequence[tuple[int, int]] = (),
    ) -> Tensor:
        """Run the layers over the cells of the cache, or else over the audio alone."""
        for index, layer in enumerate(self._blocks()):
            # Drawn in the reference's order, so that a seed drops the same layers.
            if self.training and torch.rand([]) < self.config.decoder_layerdrop:
                continue
            if cache is not None:
                cells = cache.layers[index]
            else:
                assert audio is not None
                cells = layer.cells(audio, 0, layer.encoder_attn.keys_values(audio))
            before = x
            heads = [head for at, head in alignment_heads if at == index] if alignment_heads else ()
            x, text, cross = layer(x, cells, sight, heads)
            traces.keep(index, before, x, text, cross)
        out: Tensor = self.layer_norm(x)
        return out

    def forward(  # noqa: PLR0917  # the reference's signature
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        past_key_values: DecoderCache | None = None,
        inputs_embeds: Tensor | None = None,
        position_ids: Tensor | None = None,
        use_cache: bool | None = None,
        *,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> BaseModelOutputWithPastAndCrossAttentions | tuple[Any, ...]:
        """Run new tokens through the decoder, as the reference does.

        input_ids (batch, n), or their embeddings inputs_embeds (batch, n, d_model); attention_mask: what of the cells
        and the new tokens is not padding, see `masks.text_mask`; encoder_hidden_states: (batch, n_audio_ctx, d_model),
        heard where the cache does not hold it yet; past_key_values: what earlier calls returned, which is written to;
        position_ids: (batch, n), counted on from the cache's length if None; use_cache: return one.
        What is wanted and not said is by the configuration. Raises ValueError for what does not fit.
        """
        config = self.config
        x = self._embed(input_ids, inputs_embeds)
        audio = x.new_zeros(len(x), 0, config.d_model) if encoder_hidden_states is None else encoder_hidden_states
        cache = past_key_values
        if cache is None and (config.use_cache if use_cache is None else use_cache):
            cache = self._cache(audio)
        start = 0 if cache is None else cache.length
        # Several texts in a row, told by their positions, are for passes that keep nothing.
        mask, causal = text_mask(x, start, attention_mask, position_ids if cache is None else None)
        x = x + self.embed_positions(self._positions(start, x) if position_ids is None else position_ids)
        x = dropout(x, config.dropout, training=self.training)

        def store(cells: LayerCache, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
            return cells.append(start, keys, values)

        weights = config.output_attentions if output_attentions is None else output_attentions
        hidden = config.output_hidden_states if output_hidden_states is None else output_hidden_states
        traces = Traces.wanted(hidden_states=hidden, attentions=weights)
        sight = Sight(store, mask, causal, weigh=weights or config.attn_implementation == "eager")
        count = x.shape[1]
        x = self._read(x, sight, traces, cache=cache, audio=audio)
        if cache is not None:
            cache.length = start + count
        output = BaseModelOutputWithPastAndCrossAttentions(
            x, cache, traces.hidden_states(x), traces.attentions(), traces.cross_attentions()
        )
        as_output = config.return_dict if return_dict is None else return_dict
        return output if as_output else output.to_tuple()

    def _embed(self, tokens: Tensor | None, embeddings: Tensor | None) -> Tensor:
        """Return what stands for the tokens, (batch, n, d_model)."""
        if (tokens is None) == (embeddings is None):
            raise ValueError("give either tokens (decoder_input_ids) or their embeddings (decoder_inputs_embeds)")
        embedded: Tensor = self.embed_tokens(tokens) if embeddings is None else embeddings
        return embedded

    def _positions(self, start: int, x: Tensor) -> Tensor:
        """Count on from `start`: (1, n) for what is fed, (batch, n, d_model)."""
        end, limit = start + x.shape[1], self.embed_positions.num_embeddings
        if end > limit:
            raise ValueError(f"the decoder has {limit} positions, not enough for {start} tokens and {end - start} more")
        return torch.arange(start, end, device=x.device)[None]
