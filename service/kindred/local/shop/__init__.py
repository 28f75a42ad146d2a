"""The generated film shop: what the demo and the tests have instead of real people.

The model, so that nobody has to guess what a result on it means:

- A **film** has one to three genres, two to five actors, a year, and a style that no attribute names
  (half of it follows from the cast). These make its place in a space of tastes. Apart from its place
  it has an appeal, Zipf-Mandelbrot distributed over the catalogue. Some films arrive as time goes by,
  and are on the front page for some days.
- A **user** has a taste, a direction in that space. Part of it follows from age group, country and
  device, so that a profile alone says something; most of it is the user's own. Activity is log-normal.
  Some users sign up as time goes by.
- A **visit** starts in the evening or at the weekend rather than not, and holds four choices on average.
- A **choice** is drawn from a softmax over all films that are out and not yet seen. Its score adds up
  appeal, the lasting taste (which drifts as a random walk), an interest that lasts about a week, the
  films chosen in this and the last visits, and whether the film is new.
- What becomes of it: a look only (`view`; the film may be chosen again), or `watch`, `like`,
  `purchase`, `dislike`, which each happen once for a user and film. A choice is one event: nobody
  views a film and then watches it a minute later, which would give the answer away.

So fresh histories help as far as the recent films, interests and drift weigh, next to a lasting taste
that a frozen vector knows as well. With the default strengths and seed, the next film shares a genre
with the last in 58 % of the cases; shuffled within each user it would be 41 %, among all users 28 %.
(MovieLens-100K: 50, 43 and 40 %; MovieLens-1M: 73, 47 and 39 %.) A tenth of the films gets 44 % of the
events (MovieLens: 43 and 42 %), the Gini coefficient is .55 (.63 and .60).

A check that nothing is rigged: an item-kNN over the history, asked for the next film of known users in
the last fifth of the time line, finds it among its first ten in 9.2 % of the cases with the history as
of the split and in 12.3 % with the fresh one; popularity alone 8.0 %. Without interest, recency and
drift (`Strengths(interest=0, recent=0, drift_per_day=0)`) it is 9.9 and 10.0 %: no gain is left.
"""

from __future__ import annotations

from kindred.local.shop.shop import ENDS_AT_US, ShopShape, generate
from kindred.local.shop.walk import Strengths

__all__ = ["ENDS_AT_US", "ShopShape", "Strengths", "generate"]
