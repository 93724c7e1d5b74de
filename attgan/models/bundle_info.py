"""What a bundle is, without its weights: settings, card and digest. They are read without torch."""

import hashlib
import os
from dataclasses import dataclass

from pyarrow import fs
from pydantic import ValidationError

from attgan.errors import UserError
from attgan.models.bundle_config import CARD, CONFIG, GENERATOR, BundleConfig, first_problem
from attgan.models.folder import Folder


@dataclass(frozen=True, slots=True)
class BundleInfo:
    """A bundle without its weights."""

    config: BundleConfig
    card: str
    digest: str


def inspect_bundle(
    path: str | os.PathLike[str], filesystem: fs.FileSystem | None = None, label: str | None = None
) -> BundleInfo:
    """Read settings, card and digest, but no weights.

    Raises:
        UserError: there is no bundle, or its ``config.json`` is invalid.
        OSError: the filesystem failed otherwise.
    """
    where = label or f"bundle {os.fspath(path)}"
    folder = Folder(path, filesystem)
    raw_config = read_file(folder, CONFIG, where)
    raw_card = read_file(folder, CARD, where)
    try:
        config = BundleConfig.model_validate_json(raw_config)
    except ValidationError as error:
        raise UserError(
            "bundle-config-invalid", f"{where}: {CONFIG} is not that of a bundle: {first_problem(error)}"
        ) from None
    return BundleInfo(config, raw_card.decode(errors="replace"), digest_of(config, raw_config, raw_card))


def read_file(folder: Folder, name: str, where: str) -> bytes:
    """A file of a bundle.

    Raises:
        UserError: there is none.
        OSError: the filesystem failed otherwise.
    """
    try:
        return folder.read(name)
    except FileNotFoundError:
        if folder.is_file():
            what = "a published .pth file is imported first" if folder.path.endswith(".pth") else "not a file"
            raise UserError(
                "bundle-missing", f"{where}: a bundle is a folder with {CONFIG} and {GENERATOR}; {what}"
            ) from None
        raise UserError("bundle-missing", f"{where}: no bundle is there: {name} is missing") from None


def digest_of(config: BundleConfig, raw_config: bytes, raw_card: bytes) -> str:
    """The digest of a bundle, from its settings and the content of its other files."""
    sums = config.files | {
        CONFIG: hashlib.sha256(raw_config).hexdigest(),
        CARD: hashlib.sha256(raw_card).hexdigest(),
    }
    listing = "".join(f"{sums[name]}  {name}\n" for name in sorted(sums))
    return hashlib.sha256(listing.encode()).hexdigest()
