"""Made-up film titles and people."""

from __future__ import annotations

import numpy as np

_ADJECTIVES = (
    "Silent Golden Broken Last Hidden Crimson Endless Frozen Wild Electric Paper Distant Burning Quiet "
    "Restless Velvet Hollow Secret Lost Bright Wicked Gentle Northern Midnight Second Honest Stolen Blue "
    "Crooked Lonely Savage Perfect"
)
_NOUNS = (
    "Harbour Garden River Engine Letter Island Witness Orchard Signal Winter Mirror Station Empire Dancer "
    "Horizon Lantern Bridge Stranger Promise Kitchen Machine Forest Circus Detective Summer Voyage Shadow "
    "Colony Wedding Comet Lighthouse Thief Song Border Planet Ghost Teacher Storm Market Crown"
)
_PLACES = "Lisbon Uppsala Marseille Kyoto Tangier Bergen Trieste Havana Riga Petra Galway Oslo"
_FIRST = (
    "Ada Bruno Clara Dmitri Elsa Farid Greta Hugo Ines Jonas Kaya Leo Maya Nils Olga Pablo Rosa Samir Tilda "
    "Umar Vera Wim Yara Zeno Anouk Boris Celia Dario Edith Felix Gloria Henrik Iris Jamal Kirsten Luca"
)
_LAST = (
    "Almeida Berg Castellan Dahl Eriksen Ferrand Garnier Holt Ibarra Jansen Kovac Lindqvist Moreau Novak "
    "Okafor Petrov Quint Rossi Sand Tamura Urbina Vance Weiss Xylander Ylva Zeman Arden Bloom Corvin "
    "Engel Delacroix Fontaine Grieg Hale Ivers Joubert Kaplan Lowe Marlow Nordin"
)


def titles(count: int, rng: np.random.Generator) -> list[str]:
    """`count` different titles; once the words are used up, sequels."""
    plain = [f"The {adjective} {noun}" for adjective in _ADJECTIVES.split() for noun in _NOUNS.split()]
    placed = [f"{noun} of {place}" for noun in _NOUNS.split() for place in _PLACES.split()]
    return _shuffled(plain + placed, count, rng)


def people(count: int, rng: np.random.Generator) -> list[str]:
    """`count` different names of actors."""
    return _shuffled([f"{first} {last}" for first in _FIRST.split() for last in _LAST.split()], count, rng)


def _shuffled(names: list[str], count: int, rng: np.random.Generator) -> list[str]:
    """`count` of the names in random order; the second time round they carry a 2, and so on."""
    order = rng.permutation(len(names))
    rounds = -(-count // len(names))
    numbered = [
        f"{names[n]} {again}" if again > 1 else names[n] for again in range(1, rounds + 1) for n in order
    ]
    return numbered[:count]
