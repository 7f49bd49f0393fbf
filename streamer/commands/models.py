"""`streamer models`: what is on the disk, fetch more, find it."""

from __future__ import annotations

from cyclopts import App
from rich.console import Console
from rich.table import Table
from rich.text import Text

from model.files.hub import demo_folder, resolve
from streamer.commands.outcome import Exit

models = App(name="models", help="List the models on this machine, fetch one, or say where one is.")


@models.default
def show() -> int:
    """List the embedded model and the Whisper models in the local hub cache."""
    from model.files.hub_client import cached_models  # noqa: PLC0415  # slow to import

    table = Table("name", "folder", box=None)
    table.add_row("demo", Text(str(demo_folder())))
    for source in cached_models():
        table.add_row(Text(source.name), Text(str(source.path)))
    Console(soft_wrap=True).print(table)
    return Exit.OK


@models.command
def pull(name: str, /) -> int:
    """Download a model into the local hub cache.

    Args:
        name: Name on the hub, such as openai/whisper-small.
    """
    Console(soft_wrap=True).print(Text(str(resolve(name).path)))
    return Exit.OK


@models.command
def where(name: str, /) -> int:
    """Print the folder or file of a model, asking no network.

    Args:
        name: demo, auto, a hub name, a folder or a file.
    """
    Console(soft_wrap=True).print(Text(str(resolve(name, offline=True).path)))
    return Exit.OK
