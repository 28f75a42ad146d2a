"""Both towers, readable from top to bottom; training and serving run this same code.

Letters in shapes: n items or users, S interactions in a window, w width, d dimension, h heads.

Item tower:  bag of tokens -> representation r (w) -> output projection (d), any length.
User tower:  profile prefix, then r + type + gap + position of each interaction -> causal transformer
             (pre-norm, Xiong 2020) -> at each position the user as of that moment (d), unit length.
Score = dot product of the two, the temperature already within the item's vector.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from kindred.embedding.features import GAP_BUCKETS, UNKNOWN, FeatureEncoder, Windows
from kindred.embedding.options import TowerOptions
from kindred.embedding.vocabulary import AttributeEncoder, Bags

_INITIAL_SCALE = 0.05


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
        self.tokens = nn.Parameter(torch.randn(encoder.token_count, width) * _INITIAL_SCALE)
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
    """A causal transformer (as SASRec, Kang and McAuley 2018) behind a profile prefix."""

    def __init__(self, options: TowerOptions, encoder: FeatureEncoder) -> None:
        super().__init__()
        self.profile = TokenBag(encoder.users, options.width)
        self.types = nn.Embedding(encoder.type_count, options.width)
        self.gaps = nn.Embedding(GAP_BUCKETS, options.width)
        self.positions = nn.Embedding(options.max_length, options.width)
        self.blocks = nn.ModuleList(Block(options) for _ in range(options.blocks))
        self.norm = nn.RMSNorm(options.width)
        self.output = nn.Linear(options.width, options.dimension, bias=False)
        self._dropout = options.dropout
        for table in (self.types, self.gaps, self.positions):
            nn.init.normal_(table.weight, std=_INITIAL_SCALE)

    def forward(self, profiles: Tensor, windows: Windows, items: Tensor) -> Tensor:
        """The user after 0, 1, … S interactions: (n, 1 + S, d), unit length.

        `profiles` (n, w) are prefix tokens, `items` the table of representations that the windows'
        rows index. Whatever stands behind a row's length is padding, and its output means nothing.
        """
        tokens = self._tokens(profiles, windows, items)
        for block in self.blocks:
            tokens = block(tokens)
        return self._unit(tokens)

    def newest(self, profiles: Tensor, windows: Windows, items: Tensor) -> Tensor:
        """The user after the whole window: (n, d). `forward` at each row's last position, but leaner."""
        tokens = self._tokens(profiles, windows, items)
        for block in list(self.blocks)[:-1]:
            tokens = block(tokens)
        last: Block = self.blocks[-1]  # type: ignore[assignment]
        return self._unit(last.newest(tokens, _tensor(windows.lengths, tokens.device)))

    def _tokens(self, profiles: Tensor, windows: Windows, items: Tensor) -> Tensor:
        """The input sequence: (n, 1 + S, w)."""
        device = items.device
        history = functional.embedding(_tensor(windows.rows, device), items)
        history = history + self.types(_tensor(windows.types, device))
        history += self.gaps(_tensor(windows.gaps, device))
        history += self.positions(_tensor(windows.positions, device))
        return _drop_channels(torch.cat([profiles[:, None], history], dim=1), self._dropout, self.training)

    def _unit(self, tokens: Tensor) -> Tensor:
        # Normalised in full precision: consumers rely on unit length.
        return functional.normalize(self.output(self.norm(tokens)).float(), dim=-1)


class Block(nn.Module):
    """Causal self-attention and a feed-forward layer, each on a residual path.

    RMSNorm and no biases (as PaLM, Chowdhery 2022): measured, a bias costs a CPU a pass over memory.
    """

    def __init__(self, options: TowerOptions) -> None:
        super().__init__()
        width, self._heads, self._dropout = options.width, options.heads, options.dropout
        self._head_width = width // options.heads
        self.attention_norm = nn.RMSNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.attention_output = nn.Linear(width, width, bias=False)
        self.feed_forward_norm = nn.RMSNorm(width)
        self.expand = nn.Linear(width, options.feed_forward, bias=False)
        self.contract = nn.Linear(options.feed_forward, width, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """(n, 1 + S, w) -> the same. Padding stands last, so being causal is all the masking needed."""
        query, key, value = self._split(self.qkv(self.attention_norm(tokens)))
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self._finish(tokens, mixed)

    def newest(self, tokens: Tensor, last: Tensor) -> Tensor:
        """(n, 1 + S, w) -> (n, w): `forward` at position `last` (n,) alone, with a single query."""
        rows = torch.arange(len(tokens), device=tokens.device)
        normed = self.attention_norm(tokens)
        width = tokens.shape[-1]
        query = functional.linear(normed[rows, last], self.qkv.weight[:width])
        key_value = functional.linear(normed, self.qkv.weight[width:])
        (query,), (key, value) = self._split(query[:, None]), self._split(key_value)
        visible = torch.arange(tokens.shape[1], device=tokens.device) <= last[:, None]
        mixed = functional.scaled_dot_product_attention(query, key, value, visible[:, None, None])
        return self._finish(tokens[rows, last][:, None], mixed)[:, 0]

    def _split(self, projected: Tensor) -> tuple[Tensor, ...]:
        """(n, S, k·w) -> k of (n, h, S, w / h)."""
        n, length, _ = projected.shape
        heads = projected.view(n, length, -1, self._heads, self._head_width)
        return heads.permute(2, 0, 3, 1, 4).unbind(0)

    def _finish(self, tokens: Tensor, mixed: Tensor) -> Tensor:
        attended = self.attention_output(mixed.transpose(1, 2).flatten(2))
        tokens = tokens + _drop_channels(attended, self._dropout, self.training)
        expanded = functional.relu_(self.expand(self.feed_forward_norm(tokens)))
        return tokens + _drop_channels(self.contract(expanded), self._dropout, self.training)


def _drop_channels(tokens: Tensor, share: float, training: bool) -> Tensor:
    # One mask for all positions of a sequence (Gal and Ghahramani 2016): on a CPU, drawing one random
    # number for each element costs as much as the matrix products.
    if not training or not share:
        return tokens
    n, _, width = tokens.shape
    return tokens * functional.dropout(torch.ones(n, 1, width, device=tokens.device), share)


def _tensor(array: NDArray[np.int64] | NDArray[np.float32], device: torch.device) -> Tensor:
    return torch.from_numpy(array).to(device)
