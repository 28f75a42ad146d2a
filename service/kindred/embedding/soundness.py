"""Is a vocabulary one that training could have made for this declaration?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from reprlib import repr as short

from kindred.declaration import Declaration, Feature
from kindred.embedding.features import Vocabulary
from kindred.embedding.vocabulary import FeatureVocabulary


def check(vocabulary: Vocabulary, declaration: Declaration) -> None:
    """Raises ValueError: a name twice, an attribute nobody declared, bucket edges that do not ascend."""
    lists = {"item_ids": vocabulary.item_ids, "event_types": vocabulary.event_types}
    for where, names in [
        *lists.items(),
        *_values("user", vocabulary.user),
        *_values("item", vocabulary.item),
    ]:
        if len(set(names)) != len(names):
            raise ValueError(f"the vocabulary's {where} names something twice")
    _check_attributes("user", vocabulary.user, declaration.user)
    _check_attributes("item", vocabulary.item, declaration.item)


def _values(owner: str, known: Mapping[str, FeatureVocabulary]) -> Iterator[tuple[str, Sequence[str]]]:
    for name, attribute in known.items():
        yield f"{owner}.{short(name)}", attribute.values


def _check_attributes(
    owner: str, known: Mapping[str, FeatureVocabulary], declared: Mapping[str, Feature]
) -> None:
    if undeclared := known.keys() - declared.keys():
        raise ValueError(
            f"the vocabulary knows {owner} attributes {short(sorted(undeclared))} nobody declared"
        )
    for name, attribute in known.items():
        edges = attribute.edges
        if not all(map(math.isfinite, edges)) or any(low >= high for low, high in pairwise(edges)):
            raise ValueError(f"the bucket edges of {owner}.{name} do not ascend")
