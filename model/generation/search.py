"""The one way into decoding a batch: picks the search that the configuration asks for.

Source: transformers generation/utils.py, GenerationMixin.generate.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from model.generation.assembly import Plan, PrefixFunction, criteria_for, processors_for
from model.generation.assisted import assisted
from model.generation.beam import BeamSearch
from model.generation.drafts import Drafter, Hearing, drafter_for
from model.generation.outputs import (
    GenerateBeamEncoderDecoderOutput,
    GenerateEncoderDecoderOutput,
    GenerateOutput,
)
from model.generation.prepare import prepared
from model.generation.processors import LogitsProcessor
from model.generation.reader import Reader
from model.generation.record import Record
from model.generation.sampling import sample
from model.generation.stopping import Decoding, StoppingCriterion
from model.generation_config import GenerationConfig
from model.layers.cache import DecoderCache
from model.layers.outputs import BaseModelOutput, as_encoder_output


@torch.no_grad()
def search(
    model: Any,
    decoder_input_ids: Tensor,
    encoder_outputs: BaseModelOutput | Iterable[Any],
    config: GenerationConfig,
    *,
    processors: Iterable[LogitsProcessor] = (),
    stopping: Iterable[StoppingCriterion] = (),
    decoder_attention_mask: Tensor | None = None,
    prefix_allowed_tokens_fn: PrefixFunction | None = None,
    assistant_model: Any = None,
    input_features: Tensor | None = None,
    past_key_values: DecoderCache | None = None,
    tokenizer: Decoding | None = None,
    streamer: Any = None,
) -> Tensor | GenerateOutput:
    """Continue the text of a batch.

    model: WhisperForConditionalGeneration; decoder_input_ids: (batch, prompt), padded on the left, where
    decoder_attention_mask is 0; encoder_outputs: of the same batch; config: what None leaves open is
    `GenerationConfig.defaults`, the checkpoint's own fields are the caller's to fill in.
    processors, stopping: of the caller, which go before ours of the same class. assistant_model drafts, for a batch of
    one; if it has an encoder of its own it needs input_features. tokenizer: for stop_strings.
    streamer: put(tokens) is called with the prompt and every new token, end() at last; not with beams.

    Returns sequences (batch * num_return_sequences, length), prompt included, or an output that holds them if the
    configuration says return_dict_in_generate. Raises ValueError for what cannot be done.
    """
    batch, prompt = decoder_input_ids.shape
    audio = as_encoder_output(encoder_outputs)
    heard = 0 if audio.last_hidden_state is None else len(audio.last_hidden_state)
    if heard != batch:
        raise ValueError(f"encoder_outputs must have a row for each of the {batch} decoder_input_ids, got {heard}")
    config = prepared(config, prompt)
    acting = processors_for(config, prompt, processors, prefix_allowed_tokens_fn)
    plan = Plan(config, acting, criteria_for(config, stopping, tokenizer))
    drafter = None
    if assistant_model is not None or config.prompt_lookup_num_tokens is not None:
        drafter = drafter_for(Hearing(model, assistant_model, audio, input_features), plan, decoder_attention_mask)
    reader = Reader(model, audio, config, mask=decoder_attention_mask, cache=past_key_values)
    record = Record(config)
    found = _found(decoder_input_ids, plan, reader, record, drafter=drafter, streamer=streamer)
    if not config.return_dict_in_generate:
        sequences = found["sequences"]
        assert sequences is not None
        return sequences
    fields: dict[str, Any] = {**found, **record.fields(audio), "past_key_values": reader.cache}
    return GenerateBeamEncoderDecoderOutput(**fields) if plan.beams > 1 else GenerateEncoderDecoderOutput(**fields)


def _found(
    input_ids: Tensor, plan: Plan, reader: Reader, record: Record, *, drafter: Drafter | None, streamer: Any
) -> dict[str, Tensor | None]:
    """Run the search that the plan asks for; return its own fields of the output."""
    if plan.beams > 1:
        if drafter is not None or streamer is not None:
            what = "a streamer" if drafter is None else "assisted decoding"
            raise ValueError(f"{what} needs num_beams=1, got {plan.beams}: what beams have written may be given up")
        best = BeamSearch(input_ids, plan).run(reader, record)
        scores = None if record.scores is None else best.scores
        return {"sequences": best.sequences, "sequences_scores": scores, "beam_indices": best.origins}
    if drafter is not None:
        return {"sequences": assisted(reader, drafter, input_ids, plan, record, streamer=streamer)}
    return {"sequences": sample(reader, input_ids, plan, record, streamer=streamer)}
