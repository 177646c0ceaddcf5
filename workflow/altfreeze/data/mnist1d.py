"""MNIST-1D, made anew by its published recipe.

S. Greydanus and D. Kobak, Scaling Down Deep Learning with MNIST-1D, 2024, https://arxiv.org/abs/2011.14439. The strokes
and the sizes below are those of their paper and of https://github.com/greydanus/mnist1d.
"""

import numpy as np

# twelve points of each digit
_STROKES = np.array(
    [
        [5, 6, 6.5, 6.75, 7, 7, 7, 7, 6.75, 6.5, 6, 5],
        [5, 3, 3, 3.4, 3.8, 4.2, 4.6, 5, 5.4, 5.8, 5, 5],
        [5, 6, 6.5, 6.5, 6, 5.25, 4.75, 4, 3.5, 3.5, 4, 5],
        [5, 6, 6.5, 6.5, 6, 5, 5, 6, 6.5, 6.5, 6, 5],
        [5, 4.4, 3.8, 3.2, 2.6, 2.6, 5, 5, 5, 5, 5, 5],
        [5, 3, 3, 3, 3, 5, 6, 6.5, 6.5, 6, 4.5, 5],
        [5, 4, 3.5, 3.25, 3, 3, 3, 3, 3.25, 3.5, 4, 5],
        [5, 7, 7, 6.6, 6.2, 5.8, 5.4, 5, 4.6, 4.2, 5, 5],
        [5, 4, 3.5, 3.5, 4, 5, 5, 4, 3.5, 3.5, 4, 5],
        [5, 4, 3.5, 3.5, 4, 5, 5, 5, 5, 4.7, 4.3, 5],
    ]
)
# zeros that are appended, from and up to; the length of the dilated series; how far it is rolled; the final length
_FEWEST, _MOST, _DILATED, _ROLLED, _LENGTH = 36, 60, 72, 48, 40
_SCALE, _CORRELATED, _INDEPENDENT, _SHEAR = 0.4, 0.25, 0.02, 0.75


def make_mnist1d(samples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Make series that are digits, padded, dilated, scaled, moved, noisy and sheared.

    Parameters
    ----------
    samples : int
        Spread evenly over the ten digits.
    seed : int
        Seed of the draw.

    Returns
    -------
    X : ndarray of float64, shape (samples, 40)
    y : ndarray of int64, shape (samples,)
        The digits.
    """
    from scipy.ndimage import gaussian_filter1d

    generator = np.random.default_rng(seed)
    strokes = _STROKES - _STROKES.mean(axis=1, keepdims=True)
    strokes /= strokes.std(axis=1, keepdims=True)
    # each begins and ends at about 0; exact zeros are where there is no stroke, which noise fills in
    strokes = (strokes - strokes[:, :1]) / 6 + 1e-8
    y = np.arange(samples, dtype=np.int64) % 10
    paddings = generator.integers(_FEWEST, _MOST + 1, size=samples)
    rolls = generator.integers(_ROLLED, size=samples)
    scales, shears = (share * (generator.uniform(size=(samples, 1)) - 0.5) for share in (_SCALE, _SHEAR))
    places = np.linspace(0, 1, _DILATED)
    X = np.empty((samples, _DILATED))
    for row, (digit, padding, roll) in enumerate(zip(y, paddings, rolls, strict=True)):
        padded = np.concatenate([strokes[digit], np.zeros(padding)])
        X[row] = np.roll(np.interp(places, np.linspace(0, 1, len(padded)), padded), roll)
    X *= 1 + scales
    noise = gaussian_filter1d(_CORRELATED * generator.normal(size=X.shape), 2, axis=1)
    X = np.where(X == 0, noise, X) + _INDEPENDENT * generator.normal(size=X.shape)
    X -= shears * np.linspace(-0.5, 0.5, _DILATED)
    return np.array([np.interp(np.linspace(0, 1, _LENGTH), places, row) for row in X]), y
