"""Optimizers and learning-rate schedules, through optax."""

import optax

from jaxnoisy.training.config import TrainConfig


def learning_rate(config: TrainConfig, steps_per_epoch: int) -> optax.Schedule:
    """The learning rate as a function of the step number."""
    if config.schedule == "cosine":
        return optax.cosine_decay_schedule(config.learning_rate, config.epochs * steps_per_epoch)
    if config.schedule == "step":
        drops = {epoch * steps_per_epoch: config.step_factor for epoch in config.step_epochs}
        return optax.piecewise_constant_schedule(config.learning_rate, drops)
    return optax.constant_schedule(config.learning_rate)


def optimizer(config: TrainConfig, steps_per_epoch: int) -> optax.GradientTransformation:
    """The gradient transformation that ``config`` names.

    SGD adds the weight decay to the gradient before the momentum (the L2 term of the papers and of PyTorch); AdamW
    decays the parameters apart from the gradient.
    """
    rate = learning_rate(config, steps_per_epoch)
    if config.optimizer == "adamw":
        return optax.adamw(rate, weight_decay=config.weight_decay)
    decay = optax.add_decayed_weights(config.weight_decay) if config.weight_decay else optax.identity()
    momentum = config.momentum or None
    return optax.chain(decay, optax.sgd(rate, momentum=momentum, nesterov=config.nesterov and momentum is not None))
