"""The learning rate is that of PyTorch's own schedule."""

import pytest
import torch
from altfreeze.training.optimizer import learning_rate
from builders import make_cell


@pytest.mark.parametrize("epochs", [1, 7])
def test_cosine_is_pytorchs_over_the_strategys_own_epochs(epochs):
    cell = make_cell("standard", learning_rate_schedule="cosine", epochs_standard=epochs)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=cell.learning_rate)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)
    for epoch in range(epochs):
        assert learning_rate(cell, epoch / epochs) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)
        optimizer.step()
        scheduler.step()
