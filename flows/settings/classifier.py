"""The settings of the attribute classifier's training."""

from __future__ import annotations

from pydantic import Field

from attgan.training.classifier.config import ClassifierTraining
from flows.settings.base import BundleUrl, Url
from flows.settings.train import RunSettings


class _Settings(ClassifierTraining, RunSettings):
    @property
    def config(self) -> ClassifierTraining:
        """What the library is given."""
        return ClassifierTraining.model_validate(
            self.model_dump(include=set(ClassifierTraining.model_fields))
        )


class JudgeSettings(_Settings):
    """Train the judge of a sweep: of these attributes, in this size, for no bundle."""

    size: int = Field(ge=64, multiple_of=32, description="Side of the faces.")
    attributes: list[str] = Field(min_length=1, description="The attributes it is to know.")
    bundle: None = None


class ClassifierSettings(_Settings):
    """Train a small network that predicts the attributes of unlabelled faces, and add it to a bundle."""

    bundle: BundleUrl = Field(
        description="The model it is for: its attributes, in its size. URL, path or `default`; it stays as it is."
    )
    destination: Url = Field(
        description="The bundle to make: the same model with the classifier; its training goes below it."
    )
