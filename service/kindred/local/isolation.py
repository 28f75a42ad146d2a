"""Settings of the demo's own, whatever the person's shell or folder says about real servers."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager
from pathlib import Path


@contextmanager
def only_these_settings(environment: Mapping[str, str], folder: Path) -> Iterator[None]:
    """Within the block KINDRED_ variables are these alone, and no `.env` file is near.

    `folder` becomes the working directory, where child processes start too. Changes the whole process:
    for commands, not for libraries.
    """
    theirs = {name: value for name, value in os.environ.items() if name.startswith("KINDRED_")}
    _replace(theirs, environment)
    try:
        with chdir(folder):
            yield
    finally:
        _replace(environment, theirs)


def _replace(old: Mapping[str, str], new: Mapping[str, str]) -> None:
    for name in old:
        del os.environ[name]
    os.environ.update(new)
