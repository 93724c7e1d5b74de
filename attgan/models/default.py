"""The path of the bundle that is part of this package."""

from importlib import resources

from attgan.errors import UserError
from attgan.models.bundle_config import CONFIG

FOLDER = "default_bundle"


def default_bundle_path() -> str:
    """The folder of the default bundle in the installed package.

    Raises:
        UserError: this installation has none.
    """
    folder = resources.files("attgan") / FOLDER
    if not (folder / CONFIG).is_file():
        raise UserError(
            "default-bundle-missing",
            f"attgan/{FOLDER}/{CONFIG} is missing: this installation brings no bundle; name one of yours",
        )
    return str(folder)
