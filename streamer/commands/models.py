"""`streamer models`: what is on the disk, fetch more, find it."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from cyclopts import App
from rich.console import Console
from rich.table import Table

from streamer.commands.outcome import Exit

models = App(name="models", help="List the models on this machine, fetch one, or say where one is.")


def hub() -> Any:
    """Return the module that knows where models are; late, for the hub's library takes a while to import."""
    return import_module("model.hub")


@models.default
def show() -> int:
    """List the embedded model and the Whisper models in the local hub cache."""
    finder = hub()
    table = Table("name", "folder", box=None)
    table.add_row("demo", str(finder.demo_folder()))
    for source in finder.cached_models():
        table.add_row(source.name, str(source.path))
    Console(soft_wrap=True).print(table)
    return Exit.OK


@models.command
def pull(name: str, /) -> int:
    """Download a model into the local hub cache.

    Args:
        name: Name on the hub, such as openai/whisper-small.
    """
    Console(soft_wrap=True).print(str(hub().resolve(name).path))
    return Exit.OK


@models.command
def where(name: str, /) -> int:
    """Print the folder or file of a model, asking no network.

    Args:
        name: demo, auto, a hub name, a folder or a file.
    """
    Console(soft_wrap=True).print(str(hub().resolve(name, offline=True).path))
    return Exit.OK
