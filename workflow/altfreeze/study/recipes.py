"""Recipes: what a variation changes of the configuration, how it is named, and which it may not be."""

from typing import Any

from altfreeze.vocabulary import NETWORKS

# the recipe that the configuration's own keys make
PRIMARY_RECIPE = "primary"
# a learning rate that calibration chooses for each data set, depth and strategy
TUNED = "tuned"


def unread(config: dict[str, Any]) -> set[str]:
    """Return the keys of a recipe that its optimizer or network does not read, so that they decide nothing.

    Parameters
    ----------
    config : dict
        Complete configuration.
    """
    # a factory's network may normalise over the batch
    moves = config["normalisation"] == "batch" or config["network"] not in NETWORKS
    return ({"momentum"} if config["optimizer"] != "sgd" else set()) | (set() if moves else {"frozen_normalisation"})


def name_of(variation: dict[str, Any]) -> str:
    """Return the name of a variation's recipe: its changes, as ``optimizer=sgd+learning_rate=0.03``.

    Parameters
    ----------
    variation : dict
        Entry of the key variations.
    """
    return "+".join(f"{key}={str(value).removesuffix('.0')}" for key, value in variation.items())


def varied(config: dict[str, Any], variation: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration whose primary recipe a variation is: ``epochs`` are those of every strategy.

    Parameters
    ----------
    config : dict
        Complete configuration.
    variation : dict
        Entry of its key variations.
    """
    changes = dict(variation)
    epochs = changes.pop("epochs", None)
    if epochs is not None:
        changes |= {"epochs_standard": epochs, "epochs_alternating": epochs}
    return config | {"variations": []} | changes


def is_tuned_anew(variation: dict[str, Any]) -> bool:
    """Return whether a variation's learning rates are not those of the primary recipe, tuned ones included.

    Parameters
    ----------
    variation : dict
        Entry of the key variations.
    """
    return "learning_rate" in variation


def what_it_sets(config: dict[str, Any], variation: dict[str, Any]) -> dict[str, Any]:
    """Return what a variation's recipe sets: two that set the same are one recipe.

    Parameters
    ----------
    config, variation
        See `varied`.
    """
    # with nothing else changed, tuning chooses the same again
    anew = variation.get("learning_rate") == TUNED and len(variation) > 1
    changed = varied(config, variation)
    sets = {key: value for key, value in changed.items() if key not in {"variations", *unread(changed)}}
    return sets | {"anew": anew}
