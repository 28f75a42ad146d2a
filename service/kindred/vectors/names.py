"""What the collections and aliases are called."""

from __future__ import annotations

import re
from dataclasses import dataclass

from kindred.errors import Misconfigured

_MODEL_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]|_(?!_)){0,99}")


@dataclass(frozen=True, slots=True)
class CollectionNames:
    """Physical names within one namespace: `users__<model>` behind the alias `users`, likewise items.

    With a namespace `ns` they are `ns__users__<model>` and `ns__users`.
    """

    namespace: str = ""

    @property
    def users_alias(self) -> str:
        """Alias of the live model's users."""
        return self._within("users")

    @property
    def items_alias(self) -> str:
        """Alias of the live model's items."""
        return self._within("items")

    def users(self, model: str) -> str:
        """Collection of a model's users."""
        return f"{self.users_alias}__{_checked(model)}"

    def items(self, model: str) -> str:
        """Collection of a model's items."""
        return f"{self.items_alias}__{_checked(model)}"

    def _within(self, name: str) -> str:
        return f"{self.namespace}__{name}" if self.namespace else name


def _checked(model: str) -> str:
    # "__" separates the parts of a name, so a model's name must not contain it.
    if not _MODEL_NAME.fullmatch(model):
        raise Misconfigured(
            f"The model name {model!r} cannot be part of a collection name: use up to 100 letters, digits, "
            "dots, hyphens and single underscores, a letter or digit first."
        )
    return model
