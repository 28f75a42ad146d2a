"""Both towers, readable from top to bottom; training and serving run this same code.

Letters in shapes: n items or users, S interactions in a window, w width, d dimension, h heads.

Item tower:  bag of tokens -> representation r (w) -> output projection (d), any length.
User tower:  profile prefix, then r + type + gap of each interaction -> causal transformer (pre-norm,
             Xiong 2020; rotary positions, Su 2021) -> at each position the user as of that moment (d),
             unit length.
Score = dot product of the two, the temperature already within the item's vector.
"""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from kindred.embedding.attention import attended, turned, turns
from kindred.embedding.dropout import dropped
from kindred.embedding.features import GAP_BUCKETS, UNKNOWN, FeatureEncoder, Windows
from kindred.embedding.options import TowerOptions
from kindred.embedding.vocabulary import AttributeEncoder, Bags

_INITIAL_SCALE = 0.05
_GATE_SCALE = 0.02  # so that gates begin half open


class Towers(nn.Module):
    """The two towers of one model."""

    def __init__(self, options: TowerOptions, encoder: FeatureEncoder) -> None:
        super().__init__()
        self.item = ItemTower(options, encoder.items)
        self.user = UserTower(options, encoder)


class TokenBag(nn.Module):
    """Sum of the weighted embeddings of an entity's tokens, and a linear map of its dense vectors."""

    def __init__(self, encoder: AttributeEncoder, width: int) -> None:
        super().__init__()
        self.tokens = nn.Parameter(torch.empty(encoder.token_count, width))
        nn.init.normal_(self.tokens, std=_INITIAL_SCALE)
        with torch.no_grad():  # an unknown value that training never meets says nothing
            self.tokens[encoder.unknown_tokens] = 0
        self.vectors = nn.Linear(encoder.vector_width, width, bias=False) if encoder.vector_width else None

    def forward(self, bags: Bags, id_dropout: float = 0.0) -> Tensor:
        """(n, w). With `id_dropout` that share of entities lose their identity for this pass."""
        device = self.tokens.device
        tokens, offsets = _tensor(bags.tokens, device), _tensor(bags.offsets, device)
        if id_dropout:
            tokens = _drop_identities(tokens, offsets, id_dropout)
        total: Tensor = functional.embedding_bag(
            tokens,
            self.tokens,
            offsets,
            mode="sum",
            per_sample_weights=_tensor(bags.weights, device).to(self.tokens.dtype),
        )
        if self.vectors is not None:
            total = total + self.vectors(_tensor(bags.vectors, device).to(total.dtype))
        return total


def _drop_identities(tokens: Tensor, offsets: Tensor, share: float) -> Tensor:
    # The identity is the first token of every bag.
    dropped = offsets[torch.rand(len(offsets), device=offsets.device) < share]
    return tokens.index_fill(0, dropped, UNKNOWN)


class ItemTower(nn.Module):
    """Representation r of an item, which histories read too, and its vector, which only queries read."""

    def __init__(self, options: TowerOptions, encoder: AttributeEncoder) -> None:
        super().__init__()
        self.bag = TokenBag(encoder, options.width)
        self.output = nn.Linear(options.width, options.dimension, bias=False)
        self._id_dropout = options.id_dropout
        self._temperature = options.temperature

    def forward(self, bags: Bags) -> Tensor:
        """Representations r, (n, w)."""
        representations: Tensor = self.bag(bags, self._id_dropout if self.training else 0.0)
        return representations

    def project(self, representations: Tensor) -> Tensor:
        """(n, w) -> (n, d): the vectors whose dot product with a user's is the logit."""
        projected: Tensor = self.output(representations)
        return projected / self._temperature


class UserTower(nn.Module):
    """A causal transformer (as SASRec, Kang and McAuley 2018) behind a profile prefix.

    Only distances between interactions are seen, so a target in the middle of a training window is
    predicted just as if it were asked for in serving.
    """

    def __init__(self, options: TowerOptions, encoder: FeatureEncoder) -> None:
        super().__init__()
        self.profile = TokenBag(encoder.users, options.width)
        self.types = nn.Embedding(encoder.type_count, options.width)
        self.gaps = nn.Embedding(GAP_BUCKETS, options.width)
        self.blocks = nn.ModuleList(Block(options) for _ in range(options.blocks))
        self.norm = nn.LayerNorm(options.width, bias=False)
        self.output = nn.Linear(options.width, options.dimension, bias=False)
        # With hashed ids: a bucket that no user of training falls into says nothing, nor does no id at all.
        if encoder.users.identities > 1:
            with torch.no_grad():
                self.profile.tokens[: encoder.users.identities] = 0
        self._dropout, self._head_width = options.dropout, options.width // options.heads
        for table in (self.types, self.gaps):
            nn.init.normal_(table.weight, std=_INITIAL_SCALE)

    def forward(self, profiles: Tensor, windows: Windows, items: Tensor) -> Tensor:
        """The user after 0, 1, … S interactions: (n, 1 + S, d), unit length.

        `profiles` (n, w) are prefix tokens, `items` the table of representations that the windows'
        rows index. Whatever stands behind a row's length is padding, and its output means nothing.
        """
        tokens = self._tokens(profiles, windows, items)
        angles = turns(tokens.shape[1], self._head_width, tokens.device)
        for block in self.blocks:
            tokens = block(tokens, angles)
        return self._unit(tokens)

    def newest(self, profiles: Tensor, windows: Windows, items: Tensor) -> Tensor:
        """The user after the whole window: (n, d). `forward` at each row's last position, but leaner."""
        tokens = self._tokens(profiles, windows, items)
        angles = turns(tokens.shape[1], self._head_width, tokens.device)
        for block in list(self.blocks)[:-1]:
            tokens = block(tokens, angles)
        last: Block = self.blocks[-1]  # type: ignore[assignment]
        return self._unit(last.newest(tokens, angles, _tensor(windows.lengths, tokens.device)))

    def _tokens(self, profiles: Tensor, windows: Windows, items: Tensor) -> Tensor:
        """The input sequence: (n, 1 + S, w)."""
        device = items.device
        history = functional.embedding(_tensor(windows.rows, device), items)
        history = history + self.types(_tensor(windows.types, device))
        history += self.gaps(_tensor(windows.gaps, device))
        return dropped(torch.cat([profiles[:, None], history], dim=1), self._dropout, self.training)

    def _unit(self, tokens: Tensor) -> Tensor:
        # Normalised in full precision: consumers rely on unit length.
        return functional.normalize(self.output(self.norm(tokens)).float(), dim=-1)


class Block(nn.Module):
    """Causal self-attention and a feed-forward layer, each on a gated residual path.

    No biases (as PaLM, Chowdhery 2022): measured, a bias costs a CPU a pass over memory. Layer norm
    because torch has it as one operation on a CPU; RMSNorm is several.
    """

    def __init__(self, options: TowerOptions) -> None:
        super().__init__()
        width, self._heads, self._dropout = options.width, options.heads, options.dropout
        self._head_width = width // options.heads
        self.attention_norm = nn.LayerNorm(width, bias=False)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.attention_output = nn.Linear(width, width, bias=False)
        self.attention_gate = nn.Linear(width, width, bias=False)
        self.feed_forward_norm = nn.LayerNorm(width, bias=False)
        self.expand = nn.Linear(width, options.feed_forward, bias=False)
        self.contract = nn.Linear(options.feed_forward, width, bias=False)
        self.feed_forward_gate = nn.Linear(width, width, bias=False)
        for gate in (self.attention_gate, self.feed_forward_gate):
            nn.init.normal_(gate.weight, std=_GATE_SCALE)

    def forward(self, tokens: Tensor, angles: Tensor) -> Tensor:
        """(n, 1 + S, w) -> the same. Padding stands last, so being causal is all the masking needed."""
        query, key, value = self._split(self.qkv(self.attention_norm(tokens)))
        return self._finish(tokens, attended(turned(query, angles), turned(key, angles), value))

    def newest(self, tokens: Tensor, angles: Tensor, last: Tensor) -> Tensor:
        """(n, 1 + S, w) -> (n, w): `forward` at position `last` (n,) alone, with a single query."""
        rows = torch.arange(len(tokens), device=tokens.device)
        normed = self.attention_norm(tokens)
        width = tokens.shape[-1]
        query = functional.linear(normed[rows, last], self.qkv.weight[:width])
        key_value = functional.linear(normed, self.qkv.weight[width:])
        (query,), (key, value) = self._split(query[:, None]), self._split(key_value)
        visible = torch.arange(tokens.shape[1], device=tokens.device) <= last[:, None]
        mixed = functional.scaled_dot_product_attention(
            turned(query, angles[last, None, None]), turned(key, angles), value, visible[:, None, None]
        )
        return self._finish(tokens[rows, last][:, None], mixed)[:, 0]

    def _split(self, projected: Tensor) -> tuple[Tensor, ...]:
        """(n, S, k·w) -> k of (n, h, S, w / h)."""
        n, length, _ = projected.shape
        heads = projected.view(n, length, -1, self._heads, self._head_width)
        return heads.permute(2, 0, 3, 1, 4).unbind(0)

    def _finish(self, tokens: Tensor, mixed: Tensor) -> Tensor:
        update = self.attention_output(mixed.transpose(1, 2).flatten(2))
        tokens = self._added(tokens, update, self.attention_gate)
        expanded = functional.relu_(self.expand(self.feed_forward_norm(tokens)))
        return self._added(tokens, self.contract(expanded), self.feed_forward_gate)

    def _added(self, tokens: Tensor, update: Tensor, gate: nn.Module) -> Tensor:
        # The residual itself says how much of the update it takes (LiGR, Borisyuk 2024).
        return torch.addcmul(tokens, dropped(update, self._dropout, self.training), gate(tokens).sigmoid())


def _tensor(array: NDArray[Any], device: torch.device) -> Tensor:
    return torch.from_numpy(array).to(device)
