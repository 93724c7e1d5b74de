from attgan.models.build import fresh, from_tensors
from attgan.models.bundle import Bundle, BundleInfo, inspect_bundle, load_bundle, save_bundle
from attgan.models.bundle_config import BundleConfig
from attgan.models.classifier import AttributeClassifier, ClassifierConfig
from attgan.models.discriminator import Discriminator, DiscriminatorConfig
from attgan.models.generator import Generator, GeneratorConfig, with_styles
from attgan.models.published import Published, import_published

__all__ = [
    "AttributeClassifier",
    "Bundle",
    "BundleConfig",
    "BundleInfo",
    "ClassifierConfig",
    "Discriminator",
    "DiscriminatorConfig",
    "Generator",
    "GeneratorConfig",
    "Published",
    "fresh",
    "from_tensors",
    "import_published",
    "inspect_bundle",
    "load_bundle",
    "save_bundle",
    "with_styles",
]
