"""Open an evaluator of edits by its URL: an evaluator's folder, or a bundle that has a classifier."""

from __future__ import annotations

from attgan.errors import UserError
from attgan.evaluation.evaluator import EVALUATOR_FILE, Evaluator, evaluator_of, load_evaluator
from attgan.models.bundle_config import CONFIG
from attgan.models.folder import Folder
from flows.storage import open_store
from flows.storage.bundles import open_bundle, place_of


def open_evaluator(url: str, option: str = "--evaluator") -> Evaluator:
    """Load the evaluator at a URL.

    Args:
        url: of an evaluator's or a bundle's folder, or ``default``.
        option: the option that the URL comes from, for refusals.

    Raises:
        UserError: neither exists, it is damaged, or the bundle has no classifier.
        StorageError: the storage failed.
    """
    store = open_store(place_of(url, option), option=option)
    store.check()
    filesystem, path = store.filesystem()
    folder = Folder(path, filesystem)
    if folder.has(EVALUATOR_FILE):
        return load_evaluator(folder, f"{option} {url}")
    if not folder.has(CONFIG):
        raise UserError(
            "evaluator-missing",
            f"{option} {url}: there is neither an evaluator's {EVALUATOR_FILE} nor a bundle's {CONFIG}",
        )
    bundle = open_bundle(url, option, with_discriminator=False)
    try:
        return evaluator_of(bundle)
    except UserError as error:
        raise UserError(error.code, f"{option} {url}: {error.line}") from None
