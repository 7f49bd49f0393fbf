"""What the searches returned, taken apart by recording and put together for the caller.

Source: transformers generation_whisper.py `_postprocess_outputs`, `_stack_split_outputs` and `_pad_to_max_length`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from model.generation.outputs import GenerateOutput
from model.generation.segments import Segment
from model.layers.outputs import ModelOutput

if TYPE_CHECKING:
    from model.generation.arguments import Arguments
    from model.generation.long_form import Recording

ROWS = ("sequences", "sequences_scores", "beam_indices", "token_timestamps")
"""One row of a tensor for each recording."""
STEPS = ("scores", "logits")
"""A tensor for each new token."""
LAYERS = ("encoder_attentions", "encoder_hidden_states")
"""A tensor for each layer."""
STEPS_OF_LAYERS = ("decoder_attentions", "cross_attentions", "decoder_hidden_states")
"""For each new token a tensor for each layer."""


def row_of(output: GenerateOutput, row: int, *, brief: bool, long_form: bool) -> dict[str, Any]:
    """Return what a search found for one recording, on the CPU.

    brief: leave out what only judges and timers needed; long_form: leave out the cache, which would be held for each
    window. What belongs to steps is taken from the beam that the sequence was on.
    """
    beams = output.get("beam_indices")
    path = None if beams is None else beams[row].tolist()
    found: dict[str, Any] = {name: output[name][row].cpu() for name in ROWS if name in output}
    if brief:
        return found
    for name in STEPS:
        if name in output:
            found[name] = [step[at].cpu() for step, at in _along(output[name], path, row)]
    for name in LAYERS:
        if name in output:
            found[name] = [layer[row].cpu() for layer in output[name]]
    for name in STEPS_OF_LAYERS:
        if name in output:
            steps = _along(output[name], path, row)
            found[name] = tuple(tuple(layer[at][None].cpu() for layer in step) for step, at in steps)
    if "past_key_values" in output:
        here = torch.tensor([row], device=output["sequences"].device)
        found["past_key_values"] = None if long_form else output["past_key_values"].select(here)
    return found


def _along(steps: Sequence[Any], path: list[int] | None, row: int) -> list[tuple[Any, int]]:
    """Pair the steps with the row that a sequence was in at each."""
    return [(step, row) for step in steps] if path is None else list(zip(steps, path, strict=False))


def stack(
    output: GenerateOutput, rows: Sequence[dict[str, Any]], device: torch.device
) -> GenerateOutput | dict[str, Any]:
    """Put rows, as from `row_of`, of the search that returned `output` together again.

    Returns an output of the same kind, or a dictionary if there are times of tokens, for which it has no field.
    """
    first = rows[0]
    together: dict[str, Any] = {
        name: torch.stack([row[name] for row in rows]).to(device) for name in ROWS if name in first
    }
    for name in (*STEPS, *LAYERS):
        if name in first:
            together[name] = tuple(
                torch.stack(of_rows).to(device) for of_rows in zip(*(row[name] for row in rows), strict=False)
            )
    for name in STEPS_OF_LAYERS:
        if name in first:
            together[name] = tuple(
                tuple(torch.cat(of_rows).to(device) for of_rows in zip(*steps, strict=True))
                for steps in zip(*(row[name] for row in rows), strict=False)
            )
    if output.past_key_values is not None and first.get("past_key_values") is not None:
        together["past_key_values"] = output.past_key_values
    return together if "token_timestamps" in together else type(output)(**together)


def heard_once(output: GenerateOutput | dict[str, Any], sources: Sequence[int]) -> GenerateOutput | dict[str, Any]:
    """Keep one row for each recording of what the encoder did, however many texts there are of it.

    sources: the recording of each row. A plain dictionary keeps all rows, as in the reference.
    """
    firsts = [sources.index(source) for source in dict.fromkeys(sources)]
    if isinstance(output, ModelOutput) and len(firsts) < len(sources):
        for name in LAYERS:
            if name in output:
                output[name] = tuple(layer[firsts] for layer in output[name])
    return output


def joined_tokens(recordings: Sequence[Sequence[Segment]], pad: int, device: torch.device) -> Tensor:
    """Return the tokens of all segments of each recording, (batch, length) long, padded on the right."""
    nothing = torch.zeros(0, dtype=torch.long, device=device)
    return padded([torch.cat([nothing, *(s["tokens"] for s in segments)]) for segments in recordings], pad, device)


def joined_times(recordings: Sequence[Sequence[Segment]], device: torch.device) -> Tensor:
    """Return when each of those tokens starts, (batch, length): seconds in its window."""
    nothing = torch.zeros(0)
    rows = [
        torch.cat([nothing, *(s["result"]["token_timestamps"][slice(*s["idxs"])] for s in segments)])
        for segments in recordings
    ]
    return padded(rows, None, device)


def padded(rows: Sequence[Tensor], value: int | None, device: torch.device) -> Tensor:
    """Stack rows (n,), padded on the right with a value, or each with its own last one (0 if it has none)."""
    width = max((len(row) for row in rows), default=0)
    fill = [value if value is not None else float(row[-1]) if len(row) else 0.0 for row in rows]
    stacked = [F.pad(row.to(device), (0, width - len(row)), value=end) for row, end in zip(rows, fill, strict=True)]
    return torch.stack(stacked) if stacked else torch.zeros(0, 0, dtype=torch.long, device=device)


def assembled(
    recordings: Sequence[Recording], arguments: Arguments, pad: int, device: torch.device
) -> Tensor | GenerateOutput | dict[str, Any]:
    """Return what the caller asked for of recordings that are transcribed.

    pad: fills rows on the right; device: where tokens go.
    """
    latest = [recording.decoded for recording in recordings if recording.decoded is not None]
    whole = [row.result for row in latest]
    as_dicts = [row for row in whole if isinstance(row, dict)]
    if arguments.return_dict and as_dicts and (arguments.unique or not arguments.config.return_timestamps):
        output = latest[-1].output
        assert not isinstance(output, Tensor), "the caller wants an output"
        sources = [recording.source for recording in recordings if recording.decoded is not None]
        return heard_once(stack(output, as_dicts, device), sources)
    if arguments.unique:
        tokens = padded([row["sequences"] if isinstance(row, dict) else row for row in whole], pad, device)
        times = padded([row["token_timestamps"] for row in as_dicts], None, device) if arguments.token_times else None
    else:
        tokens = joined_tokens([recording.segments for recording in recordings], pad, device)
        times = (
            joined_times([recording.segments for recording in recordings], device) if arguments.token_times else None
        )
    segmented = arguments.return_segments or arguments.return_dict
    if times is None and not segmented:
        return tokens
    result: dict[str, Any] = {"sequences": tokens}
    if times is not None:
        result["token_timestamps"] = times
    if segmented:
        result["segments"] = [recording.segments for recording in recordings]
    return result
