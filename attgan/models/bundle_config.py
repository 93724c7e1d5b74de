"""The settings file of a bundle, ``config.json``."""

from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    StringConstraints,
    ValidationError,
    model_validator,
)

from attgan.models.configs import ClassifierConfig, DiscriminatorConfig, GeneratorConfig

CONFIG = "config.json"
CARD = "README.md"
GENERATOR = "generator.safetensors"
DISCRIMINATOR = "discriminator.safetensors"
CLASSIFIER = "classifier.safetensors"


def _check_unique(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        raise ValueError("an attribute is named twice")
    return names


# Names that can be written in an edit, "NAME=1@0.8".
AttributeName = Annotated[str, StringConstraints(pattern=r"^[^\s=@]+$")]
AttributeNames = Annotated[tuple[AttributeName, ...], AfterValidator(_check_unique)]
Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, pattern=r"^[^\n]+$")]
StorageDtype = Literal["float32", "float16"]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class BundleConfig(BaseModel):
    """The content of ``config.json``.

    Attributes:
        schema_version: of this file.
        attributes: names in the order of the attribute vector.
        generator, discriminator, classifier: their settings.
        dtype: of the weights on disk; in memory they are always float32.
        software: name and version of the program that wrote it; None before version 0.2.0.
        licence: one line, printed by every run that uses the bundle.
        files: sha256 of each weights file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    attributes: AttributeNames
    generator: GeneratorConfig
    discriminator: DiscriminatorConfig | None = None
    classifier: ClassifierConfig | None = None
    dtype: StorageDtype = "float32"
    software: Line | None = None
    licence: Line
    files: dict[str, Sha256]

    @property
    def image_size(self) -> int:
        """Side of the images that the networks take."""
        return self.generator.image_size

    @model_validator(mode="after")
    def _agree(self) -> Self:
        count = self.generator.n_attributes
        if len(self.attributes) != count:
            raise ValueError(f"{len(self.attributes)} attribute names for a generator of {count}")
        others = {"discriminator": self.discriminator, "classifier": self.classifier}
        for name, other in others.items():
            if other and (other.n_attributes, other.image_size) != (count, self.image_size):
                raise ValueError(f"generator and {name} differ in n_attributes or image_size")
        present = {
            GENERATOR: True,
            DISCRIMINATOR: bool(self.discriminator),
            CLASSIFIER: bool(self.classifier),
        }
        if set(self.files) != {name for name, there in present.items() if there}:
            raise ValueError("files must list the networks that have settings, no more and no less")
        return self


def first_problem(error: ValidationError) -> str:
    """One line on the first invalid setting: its place, and the rule."""
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    return printable(f"{place}: {message}" if place else message, 200)


def printable(text: str, limit: int = 120) -> str:
    """Text from a file, made safe for a terminal: no line breaks, no control characters, and not too long."""
    plain = "".join(letter if letter.isprintable() else "�" for letter in text[: limit + 1])
    return plain if len(plain) <= limit else plain[: limit - 1] + "…"
