"""A film shop for about so many events: for demos and tests smaller than the default."""

from __future__ import annotations

from kindred.local.shop import ShopShape


def sized(events: int | None) -> ShopShape:
    """The default shop, or one with users and films in proportion to its events."""
    if events is None:
        return ShopShape()
    # Enough films that the keenest user never runs out of them.
    return ShopShape(users=max(100, events // 50), films=max(600, events * 3 // 200), interactions=events)
