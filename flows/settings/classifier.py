"""The settings of the attribute classifier's training."""

from __future__ import annotations

from pydantic import Field

from attgan.training.classifier_config import ClassifierTraining
from flows.settings.base import BundleUrl, Url
from flows.settings.train import RunSettings


class ClassifierSettings(ClassifierTraining, RunSettings):
    """Train a small network that predicts the attributes of unlabelled faces, and add it to a bundle."""

    bundle: BundleUrl = Field(
        description="The model it is for: its attributes, in its size. URL, path or `default`; it stays as it is."
    )
    destination: Url = Field(
        description="The bundle to make: the same model with the classifier; its training goes below it."
    )

    @property
    def config(self) -> ClassifierTraining:
        """What the library is given."""
        return ClassifierTraining.model_validate(
            self.model_dump(include=set(ClassifierTraining.model_fields))
        )
