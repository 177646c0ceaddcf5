"""The networks that come with the program, each a chain of layers that freeze as one.

The first layer makes `width` channels or tokens of the input, those between are alike, and the last one classifies.
Like a user's own, each is made by a factory of (input shape, classes, depth, width).
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import nn
from torch.nn import functional

# tokens along each side of an image, or along a series
_TOKENS = {2: 4, 1: 16}
_CONVOLUTIONS: dict[int, Callable[..., nn.Module]] = {1: nn.Conv1d, 2: nn.Conv2d}
_BATCH_NORMS: dict[int, Callable[..., nn.Module]] = {0: nn.BatchNorm1d, 1: nn.BatchNorm1d, 2: nn.BatchNorm2d}


def _norm(normalisation: str, width: int, sides: int) -> list[nn.Module]:
    """Return what normalises `width` channels that have so many sides, if anything does."""
    if normalisation == "batch":
        return [_BATCH_NORMS[sides](width)]
    # over the channels and the places of each row
    return [nn.GroupNorm(1, width)] if normalisation == "layer" else []


def _convolution(fan_in: int, width: int, sides: int, normalisation: str, stride: int = 1) -> list[nn.Module]:
    """Return what mixes neighbouring places, or, of a row without places, a linear map, and what normalises it."""
    # a normalisation over the batch takes a bias away again
    bias = normalisation != "batch"
    if not sides:
        return [nn.Linear(fan_in, width, bias), *_norm(normalisation, width, sides)]
    mix = _CONVOLUTIONS[sides](fan_in, width, 3, stride, padding=1, bias=bias)
    return [mix, *_norm(normalisation, width, sides)]


class _Mean(nn.Module):
    """The mean of each channel over its places."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # adaptive pooling has no repeatable gradient on a GPU
        return x.flatten(2).mean(2)


def _first(shape: Sequence[int], width: int, normalisation: str) -> nn.Module:
    """Return the first layer of a convolutional network; it halves the sides, so that those above cost less."""
    sides = len(shape) - 1
    return nn.Sequential(*_convolution(shape[0], width, sides, normalisation, 2), nn.ReLU())


def _last(classes: int, width: int, sides: int) -> nn.Module:
    return nn.Sequential(*([_Mean()] if sides else []), nn.Linear(width, classes))


def cnn(shape: Sequence[int], classes: int, depth: int, width: int, normalisation: str = "none") -> nn.Module:
    """Return a convolutional network: convolution, normalisation and ReLU in each layer, then the mean over places.

    Parameters
    ----------
    shape : sequence of int
        Channels, and one or two sides.
    classes, depth, width : int
        Classes, layers, and channels of each layer but the last.
    normalisation : {'none', 'batch', 'layer'}

    Returns
    -------
    torch.nn.Module
    """
    sides = len(shape) - 1
    between = [nn.Sequential(*_convolution(width, width, sides, normalisation), nn.ReLU()) for _ in range(depth - 2)]
    return nn.Sequential(_first(shape, width, normalisation), *between, _last(classes, width, sides))


class _Residual(nn.Module):
    """A residual block (K. He et al., 2016, https://arxiv.org/abs/1512.03385)."""

    def __init__(self, width: int, sides: int, normalisation: str) -> None:
        super().__init__()
        self.change = nn.Sequential(
            *_convolution(width, width, sides, normalisation),
            nn.ReLU(),
            *_convolution(width, width, sides, normalisation),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.relu(x + self.change(x))


def resnet(shape: Sequence[int], classes: int, depth: int, width: int, normalisation: str = "none") -> nn.Module:
    """Return a residual network: each layer between the first and the last is a block of two convolutions.

    Where the features have no places, linear maps stand for the convolutions.

    Parameters
    ----------
    shape : sequence of int
        Features; or channels, and one or two sides.
    classes, depth, width, normalisation
        See `cnn`.

    Returns
    -------
    torch.nn.Module
    """
    sides = len(shape) - 1
    between = [_Residual(width, sides, normalisation) for _ in range(depth - 2)]
    return nn.Sequential(_first(shape, width, normalisation), *between, _last(classes, width, sides))


class _Tokens(nn.Module):
    """Patches of the input as tokens, with a learned position each: (rows, tokens, width)."""

    def __init__(self, shape: Sequence[int], width: int) -> None:
        super().__init__()
        channels, *sides = shape
        tokens = _TOKENS[len(sides)]
        patch = [math.ceil(side / tokens) for side in sides]
        # zeros at the far ends, the last side first, make the patches whole and so many: softmax is slow over 14
        self.padding = [n for side, p in zip(sides[::-1], patch[::-1], strict=True) for n in (0, tokens * p - side)]
        self.embed = _CONVOLUTIONS[len(sides)](channels, width, patch, patch)
        self.position = nn.Parameter(0.02 * torch.randn(tokens ** len(sides), width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.embed(functional.pad(x, self.padding)).flatten(2).transpose(1, 2) + self.position


class _Attention(nn.Module):
    """Self-attention by plain products, as fused kernels can be neither stacked nor counted."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = math.gcd(width, 4)
        self.inward, self.outward = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        query, key, value = self.inward(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        weights = (query @ key.transpose(2, 3) * query.shape[3] ** -0.5).softmax(3)
        return self.outward((weights @ value).transpose(1, 2).flatten(2))


class _Block(nn.Module):
    """A block of attention and a perceptron, each beside the identity and normalised before."""

    def __init__(self, width: int, normalisation: str) -> None:
        super().__init__()

        def norm() -> list[nn.Module]:
            return [nn.LayerNorm(width)] if normalisation == "layer" else []

        self.attend = nn.Sequential(*norm(), _Attention(width))
        self.think = nn.Sequential(*norm(), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attend(x)
        return x + self.think(x)


class _MeanToken(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(1)


def transformer(shape: Sequence[int], classes: int, depth: int, width: int, normalisation: str = "none") -> nn.Module:
    """Return a transformer whose tokens are patches (A. Dosovitskiy et al., 2021, https://arxiv.org/abs/2010.11929).

    The first layer embeds 4 by 4 patches of an image, or 16 of a series; the last one classifies the mean token.

    Parameters
    ----------
    shape : sequence of int
        Channels, and one or two sides.
    classes, depth, width : int
        Classes, layers, and numbers in a token.
    normalisation : {'none', 'layer'}

    Returns
    -------
    torch.nn.Module
    """
    between = [_Block(width, normalisation) for _ in range(depth - 2)]
    norm = [nn.LayerNorm(width)] if normalisation == "layer" else []
    last = nn.Sequential(*norm, _MeanToken(), nn.Linear(width, classes))
    return nn.Sequential(_Tokens(shape, width), *between, last)


FACTORIES: dict[str, Callable[..., nn.Module]] = {"cnn": cnn, "resnet": resnet, "transformer": transformer}
