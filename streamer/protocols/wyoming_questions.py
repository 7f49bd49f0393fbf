"""What a Wyoming client may ask at any time, and before it has a session: who is there, and whether."""

from __future__ import annotations

from streamer import __version__
from streamer.protocols.frames import Frame
from streamer.protocols.handshake import House
from streamer.protocols.wyoming_events import WyomingEvent

PROGRAM = "streamer"
OTHER_SERVICES = ("tts", "handle", "intent", "wake", "mic", "snd")
"""What the protocol has besides speech recognition, and is not to be had here."""


def answer(event: WyomingEvent, house: House) -> WyomingEvent | None:
    """Return the answer to a question; None for what is none."""
    match event.type:
        case "describe":
            return info(house)
        case "ping":
            return WyomingEvent("pong", {"text": event.data.get("text")})
        case _:
            return None


def info(house: House) -> WyomingEvent:
    """Say what is to be had here: one program with one model, the one that is loaded."""
    artifact: Frame = {"attribution": {"name": "Streamer", "url": ""}, "installed": True, "version": __version__}
    model = {
        **artifact,
        "name": house.model,
        "description": f"Whisper: {house.model}",
        "languages": sorted(house.languages),
    }
    program = {
        **artifact,
        "name": PROGRAM,
        "description": "Streaming speech recognition by Whisper",
        "models": [model],
        "supports_transcript_streaming": True,
        # Clients end a command themselves: who is told that they need not, waits for an event that none sends yet.
        "requires_external_vad": True,
        "prefers_auto_gain_enabled": True,
        "prefers_noise_reduction_enabled": True,
    }
    return WyomingEvent("info", {"asr": [program], **{service: [] for service in OTHER_SERVICES}})
