"""The settings are the report's by default, and each rule names its field."""

import pytest
from pydantic import ValidationError

from attgan.models.layers.blocks import LAYERS
from attgan.training.config import EXECUTION_ONLY, AlignmentConfig, LoopConfig, TrainingConfig
from attgan.training.losses import Adversarial, LossWeights
from attgan.training.strategies import STRATEGIES, Intensities


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


def test_the_choices_are_those_that_there_are() -> None:
    fields = TrainingConfig.model_fields
    assert set(fields["strategy"].annotation.__args__) == set(STRATEGIES)  # type: ignore[union-attr]
    assert fields["adversarial"].annotation == Adversarial
    assert fields["intensities"].annotation == Intensities
    assert TrainingConfig(freeze_d=LAYERS).freeze_d == LAYERS


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("freeze_d", 9),
        ("freeze_d", -1),
        ("batch_size", 1),
        ("learning_rate", 0),
        ("strategy", "reverse"),
        ("adam_beta1", 1.0),
        ("epochs", 0),
        ("discriminator_steps", 0),
        ("clip_gradients", 0),
        ("validation_share", 0),
    ],
)
def test_a_value_out_of_range_is_refused_by_its_name(field: str, value: object) -> None:
    with pytest.raises(ValidationError) as error:
        TrainingConfig(**{field: value})
    assert [mistake["loc"] for mistake in error.value.errors()] == [(field,)]


@pytest.mark.parametrize("config", [TrainingConfig, AlignmentConfig])
def test_every_setting_explains_itself(config: type[LoopConfig]) -> None:
    assert all(field.description for field in config.model_fields.values())
    assert set(config.model_fields) >= EXECUTION_ONLY
