"""The settings are the report's by default."""

from attgan.training.config import TrainingConfig
from attgan.training.losses import LossWeights


def test_the_defaults_are_the_reports() -> None:
    config = TrainingConfig()
    weights = (config.lambda_reconstruction, config.lambda_attributes, config.lambda_classification)
    assert (*weights, config.lambda_penalty) == tuple(LossWeights()) == (100, 10, 1, 10)
    assert (config.batch_size, config.learning_rate, config.adam_beta1, config.adam_beta2) == (
        128,
        1e-4,
        0.5,
        0.999,
    )
    assert (config.epochs, config.discriminator_warmup, config.generator_warmup) == (30, 1, 2)
    assert (config.discriminator_steps, config.patience) == (3, 20)
    assert (config.strategy, config.attribute, config.clip_gradients) == ("inverse", "Eyeglasses", None)
