"""The networks, and bundles of them.

Settings are read without torch. What needs it is imported when it is first asked for, because torch takes a process
seconds to load, and a flow, which only plans, can do without.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from attgan.models.bundle_config import BundleConfig
from attgan.models.bundle_info import BundleInfo, inspect_bundle
from attgan.models.configs import ClassifierConfig, DiscriminatorConfig, GeneratorConfig

if TYPE_CHECKING:
    from attgan.models.build import fresh, from_tensors
    from attgan.models.bundle import Bundle, load_bundle, save_bundle
    from attgan.models.classifier import AttributeClassifier
    from attgan.models.discriminator import Discriminator
    from attgan.models.generator import Generator, with_styles
    from attgan.models.published import Published, import_published
else:
    _MODULES = {
        "AttributeClassifier": "classifier",
        "Bundle": "bundle",
        "Discriminator": "discriminator",
        "Generator": "generator",
        "Published": "published",
        "fresh": "build",
        "from_tensors": "build",
        "import_published": "published",
        "load_bundle": "bundle",
        "save_bundle": "bundle",
        "with_styles": "generator",
    }

    def __getattr__(name: str) -> object:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


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
