"""Everything that producers do to Kindred, from a seed: late, twice, out of order, wrong, and then erased.

What comes of it is determined in whatever order the topics are read, as the oracle asks (oracle.py):

- who stays erased is described no more, so all of theirs goes, also what is dated ahead;
- who comes back gets nothing later than the erasure until `came_back`: the caller has to wait until
  Postgres holds the new profile. Theirs is never dated ahead, or a redelivery could bring back what
  an erasure has ended;
- an event that comes with other content has the key, and so the partition, of the one before.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from faults.poison import poison

TYPES = ("watch", "purchase", "like", "view", "dislike")
GENRES = ("Drama", "Comedy", "Noir", "Western")
DAY_MS = 86_400_000
REMEMBERED = 2_000
HOT_USERS = 4
STRANGE_IDS = (
    "O'Neil\"; --", "\u202eright to left", "🎬 émilie", "ü" * 128, "007", "9007199254740992", "a b\tc\n",
    "%s %(x)s {}", "\\", "0",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sent:
    """A record to produce: logical topic; no timestamp means now, no partition means the key's."""

    topic: str
    key: bytes | None
    value: bytes | None
    timestamp_ms: int | None = None
    partition: int | None = None


class Workload:
    """A stream of records. `now_ms` gives the time, which they are dated by.

    `item_changes`: weight of what happens to items, 1 for about one record in twelve. `greets`: every user
    gets so many events first, after every item was described twice: once all its values differ from
    others', an item needs no more memory.
    """

    def __init__(
        self, seed: int, users: int, items: int, partitions: int, now_ms: Callable[[], int], *,
        item_changes: float = 1.0, greets: int = 0,
    ) -> None:  # fmt: skip
        self._random = random.Random(seed)
        self._now_ms = now_ms
        self._partitions = partitions
        self._item_changes = item_changes
        names = [*STRANGE_IDS, *(str(n) if n % 2 else f"user-{n}" for n in range(1_000, 1_000 + users))]
        self._returners = names[2::10]
        self._goers = names[3::10]
        self._users = [name for place, name in enumerate(names) if place % 10 not in {2, 3}]
        self._all = self._users + self._goers + self._returners
        self._without_returners = self._users + self._goers
        self._items = [*map(str, range(items)), *STRANGE_IDS]
        self._gone_at_ms: dict[str, int] = {}  # who is erased for good
        self._away_at_ms: dict[str, int] = {}  # who is erased, and has not come back for sure
        self._made = 0
        self._sent: list[Sent] = []
        self._to_describe = [(item, age_ms) for age_ms in (DAY_MS, 0) for item in self._items if greets]
        self._to_greet = names * greets
        self._kinds: dict[Callable[[], Sent], float] = {
            self._click: 60, self._late_click: 10, self._again: 12, self._otherwise: 1, self._elsewhere: 2,
            self._ahead: 1, self._profile: 5, self._poison: 1,
            self._item: 5 * item_changes, self._price: 2 * item_changes, self._removal: item_changes,
        }  # fmt: skip

    def records(self, number: int) -> list[Sent]:
        """The next ones of everything but erasures."""
        described, self._to_describe = self._to_describe[:number], self._to_describe[number:]
        room = number - len(described)
        greeted, self._to_greet = self._to_greet[:room], self._to_greet[room:]
        first = [*(self._item(*each) for each in described), *map(self._click, greeted)]
        kinds = self._random.choices([*self._kinds], [*self._kinds.values()], k=number - len(first))
        return [self._remember(each) for each in (*first, *(kind() for kind in kinds))]

    def erasures(self, number: int) -> list[Sent]:
        """Some go for good; some go and come back: nobody may hear of those until `came_back`."""
        now_ms, sent = self._now_ms(), []
        for user in self._random.sample(self._goers, min(number, len(self._goers))):
            self._gone_at_ms.setdefault(user, now_ms)
            sent.append(Sent("users", user.encode(), None, self._gone_at_ms[user]))
        staying = [user for user in self._returners if user not in self._away_at_ms]
        for user in self._random.sample(staying, min(number, len(staying))):
            self._away_at_ms[user] = now_ms
            sent.append(Sent("users", user.encode(), None, now_ms))
            sent.append(self._described(user, now_ms + 1))
        return [self._remember(each) for each in sent]

    def came_back(self) -> None:
        """Postgres holds the profiles that followed the last erasures."""
        self._away_at_ms.clear()

    def _click(self, user: str | None = None) -> Sent:
        user = self._user() if user is None else user
        away_ms = self._away_at_ms.get(user)
        at_ms = self._now_ms() if away_ms is None else away_ms - self._random.randrange(DAY_MS)
        return self._interaction(user, at_ms)

    def _late_click(self) -> Sent:
        """By seconds or by two months."""
        user = self._user()
        late_ms = int(60 * DAY_MS * self._random.random() ** 4)
        return self._interaction(user, self._away_at_ms.get(user, self._now_ms()) - late_ms)

    def _ahead(self) -> Sent:
        """Of a producer whose clock is ahead, within what is allowed."""
        return self._interaction(self._random.choice(self._without_returners), self._now_ms() + 200_000)

    def _elsewhere(self) -> Sent:
        """On any partition, as by a producer with another partitioner."""
        click = self._click()
        partition = self._random.randrange(self._partitions)
        return Sent(click.topic, click.key, click.value, partition=partition)

    def _again(self) -> Sent:
        return self._random.choice(self._sent) if self._sent else self._click()

    def _otherwise(self) -> Sent:
        """An event known by its key, of another type: the first one wins."""
        known = self._again()
        if known.topic != "interactions" or known.partition is not None or known.key == b"nobody":
            return self._click()
        fields = json.loads(known.value or b"{}") | {"type": self._random.choice(TYPES)}
        return Sent("interactions", known.key, json.dumps(fields).encode())

    def _profile(self) -> Sent:
        user = self._user()
        if user in self._gone_at_ms:
            return self._click()
        # Few different times, so that ties happen.
        age_ms = self._random.choice((0, DAY_MS, DAY_MS, 30 * DAY_MS))
        return self._described(user, self._now_ms() // 10_000 * 10_000 - age_ms)

    def _item(self, item: str | None = None, age_ms: int | None = None) -> Sent:
        choice = self._random.choice
        item = choice(self._items) if item is None else item
        age_ms = choice((0, 0, DAY_MS, 30 * DAY_MS)) if age_ms is None else age_ms
        updated_at_ms = self._now_ms() // 10_000 * 10_000 - age_ms
        fields: dict[str, Any] = {
            "title": f"Film {choice(range(3))}", "genres": self._random.sample(GENRES, 2),
            "year": 1980 + choice(range(40)),
            "actors": choice(([], ["Ada"], ["Ada", "Zoë"])), "available": choice((True, False, None)),
        }  # fmt: skip
        return self._json("items", item, {"item_id": item, "updated_at": updated_at_ms, **fields})

    def _price(self) -> Sent:
        """Alike but for what no tower reads."""
        item = self._items[self._random.randrange(3)]
        fields = {"title": f"Film {item}", "genres": ["Drama"], "price": self._random.randrange(100) / 4}
        return self._json("items", item, {"item_id": item, "updated_at": self._now_ms(), **fields})

    def _removal(self) -> Sent:
        ago_ms = self._random.choice((0, 20_000, DAY_MS))
        return Sent("items", self._random.choice(self._items).encode(), None, self._now_ms() - ago_ms)

    def _poison(self) -> Sent:
        kinds = poison(self._now_ms())
        # As rare among items as elsewhere, or the breaker would take the topic for broken.
        weights = [self._item_changes if each.topic == "items" else 1.0 for each in kinds]
        [found] = self._random.choices(kinds, weights)
        return Sent(found.topic, found.key, found.value)

    def _user(self) -> str:
        if self._random.random() < 0.25:
            return self._users[self._random.randrange(HOT_USERS)]
        return self._random.choice(self._all)

    def _interaction(self, user: str, at_ms: int) -> Sent:
        self._made += 1
        choice = self._random.choice
        fields: dict[str, Any] = {
            "event_id": f"{self._random.getrandbits(16):04x}-{self._made}",
            "user_id": user,
            "item_id": choice(self._items),
            "type": choice(TYPES),
            "occurred_at": choice((at_ms, at_ms - at_ms % 1_000, _text(at_ms))),  # some at one time
        }
        if choice((True, False)):
            fields |= {
                "value": choice((1, 0.5, -3e10)),
                "context": choice(({}, {"π": ["'", '"', 1.5, None]})),
            }
        return self._json("interactions", user, fields)

    def _described(self, user: str, updated_at_ms: int) -> Sent:
        choice = self._random.choice
        fields = {"country": choice(("DE", "AT", None)), "age_group": choice(("18-24", "65+")), "note": "x"}
        return self._json("users", user, {"user_id": user, "updated_at": updated_at_ms, **fields})

    def _json(self, topic: str, key: str, fields: dict[str, Any]) -> Sent:
        value = json.dumps(fields, ensure_ascii=self._random.random() < 0.5)
        return Sent(topic, key.encode(), value.encode())

    def _remember(self, sent: Sent) -> Sent:
        if len(self._sent) < REMEMBERED:
            self._sent.append(sent)
        else:
            self._sent[self._random.randrange(REMEMBERED)] = sent
        return sent


def _text(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat()
