"""Help that speaks of what a user types: a flag has no type, a number is a number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from velro_gate.cli.output import put
from velro_gate.cli.overview import overview

_SHOWN = {"<bool>": "", "<list[str]>": "<str>", "<int range>": "<int>", "<float range>": "<float>"}


def _in_plain_words(params: list[Any], ctx: Any) -> list[Any]:
    for param in params:
        shown = _SHOWN.get(str(param.display_type_rich(ctx=ctx)))
        if shown is not None:
            param.metavar = shown
    return params


def with_port(args: list[str]) -> list[str]:
    """The arguments with a port for each ``--live`` that has none: Typer's options always have a value."""
    found = []
    for index, word in enumerate(args):
        found.append(word)
        following = args[index + 1] if index + 1 < len(args) else ""
        if word == "--live" and not following.isdecimal():
            found.append("0")
    return found


class Command(TyperCommand):
    """A command whose help names no type of the code."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As Typer does, ``--live`` without a port too."""
        return super().parse_args(ctx, with_port(args))

    def get_params(self, ctx: Any) -> list[Any]:
        """Those of the command, ready to be shown."""
        return _in_plain_words(super().get_params(ctx), ctx)


class Group(TyperGroup):
    """A group of such commands."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Those of the group, ready to be shown."""
        return _in_plain_words(super().get_params(ctx), ctx)


class RootGroup(Group):
    """The whole program, whose help is the overview."""

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - its caller gives them
        """Print the same page that ``velro-gate --help`` prints without Typer; as Typer's own help, it returns nothing."""
        put(overview())


class App(typer.Typer):
    """An application of such commands and groups."""

    def __init__(self, *, cls: type[Group] = Group, **settings: Any) -> None:
        super().__init__(cls=cls, no_args_is_help=True, rich_markup_mode="rich", **settings)

    def command(self, *names: Any, **settings: Any) -> Callable[[Any], Any]:
        """As Typer's own, for one more command."""
        return super().command(*names, **{"cls": Command, **settings})
