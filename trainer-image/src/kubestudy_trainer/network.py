"""The multilayer perceptron and its optimiser."""

from itertools import pairwise

import torch
from torch import nn

from kubestudy_trainer.config import TrainConfig

_ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "gelu": nn.GELU, "tanh": nn.Tanh}


def build_network(config: TrainConfig, features: int, classes: int) -> nn.Sequential:
    """A multilayer perceptron with initial weights from torch's global random numbers.

    Args:
        config: Its hidden widths, activation and dropout count.
        features: Width of the input.
        classes: Width of the output, one logit per class.
    """
    layers: list[nn.Module] = []
    widths = (features, *config.hidden)
    for inputs, outputs in pairwise(widths):
        layers += [nn.Linear(inputs, outputs), _ACTIVATIONS[config.activation]()]
        if config.dropout:
            layers.append(nn.Dropout(config.dropout))
    layers.append(nn.Linear(widths[-1], classes))
    return nn.Sequential(*layers)


def build_optimizer(config: TrainConfig, network: nn.Module) -> torch.optim.Optimizer:
    """The optimiser that a configuration names, over all of a network's parameters.

    Args:
        config: Its optimizer, lr, momentum, nesterov and weight_decay count.
        network: What is to be trained.
    """
    parameters = network.parameters()
    lr, decay, momentum = config.lr, config.weight_decay, config.momentum or 0.0
    match config.optimizer:
        case "sgd":
            return torch.optim.SGD(parameters, lr=lr, momentum=momentum, nesterov=config.nesterov, weight_decay=decay)
        case "adam":
            return torch.optim.Adam(parameters, lr=lr, weight_decay=decay)
        case "adamw":
            return torch.optim.AdamW(parameters, lr=lr, weight_decay=decay)
        case "nadam":
            return torch.optim.NAdam(parameters, lr=lr, weight_decay=decay)
        case "rmsprop":
            return torch.optim.RMSprop(parameters, lr=lr, momentum=momentum, weight_decay=decay)
        case unknown:
            raise AssertionError(f"a configuration lets no optimizer {unknown} pass")
