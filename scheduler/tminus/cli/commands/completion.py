"""`completion`: the shell script that completes commands and job names."""

import click
from click.shell_completion import get_completion_class

from tminus.cli.invocation import Invocation
from tminus.cli.main import Command, program


@click.command(cls=Command, short_help="Completion for bash, zsh or fish.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(invocation: Invocation, shell: str) -> int:
    """
    Completion of commands, options and job names.

    \b
    eval "$(tminus completion bash)"                                   # in ~/.bashrc
    tminus completion fish > ~/.config/fish/completions/tminus.fish
    """
    maker = get_completion_class(shell)
    if maker is not None:
        invocation.output.line(maker(program, {}, "tminus", "_TMINUS_COMPLETE").source())
    return 0
