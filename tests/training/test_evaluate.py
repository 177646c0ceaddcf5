"""What a part is scored by, against scikit-learn."""

import numpy as np
import pytest
import torch
from altfreeze.training.batches import evaluate
from altfreeze.training.network import StackedMLP
from sklearn.metrics import accuracy_score, balanced_accuracy_score, log_loss


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_scores_are_those_of_scikit_learn_though_a_class_does_not_occur():
    network = StackedMLP([3, 8, 4], [1, 2], 0.0)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 40, 3, generator=generator)
    # of the last class there is no row
    targets = torch.randint(0, 3, (2, 40), generator=generator)
    scores = evaluate(network, x, targets)
    with torch.no_grad():
        probabilities = network(x).double().softmax(-1).numpy()
    for member, (true, shares) in enumerate(zip(targets.numpy(), probabilities, strict=True)):
        said = shares.argmax(1)
        assert scores.accuracy[member] == accuracy_score(true, said)
        assert scores.balanced_accuracy[member].item() == pytest.approx(balanced_accuracy_score(true, said))
        assert scores.loss[member].item() == pytest.approx(log_loss(true, shares, labels=np.arange(4)), rel=1e-6)
