"""What training asks at each event of a log: whether it is what the user wanted next, or disliked."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kindred.declaration import Declaration
from kindred.errors import Misconfigured
from kindred.training.event_log import EventLog, has_type
from kindred.training.targets import new_to_user, on_removed


def wanted_and_unwanted(
    log: EventLog, declaration: Declaration
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(events,) positive ones and negative ones, on items that are there and the user had not seen before.

    Raises Misconfigured where nothing is wanted.
    """
    asked = new_to_user(log, declaration) & ~on_removed(log)
    # The profile alone predicts what a newcomer takes first, not what follows on events that expired.
    asked[log.cut_events()] = False
    wanted = asked & has_type(log, declaration.positive_types)
    if not wanted.any():
        raise Misconfigured(
            "There is nothing to learn from: the log has no event of a positive type on an item that is new "
            "to its user and not removed. Check the roles in the declaration, and that the log is the right "
            "one."
        )
    return wanted, asked & has_type(log, declaration.negative_types)
