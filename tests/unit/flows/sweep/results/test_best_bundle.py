"""The best trial's bundle and its card."""

import logging

from attgan.models import inspect_bundle, load_bundle
from flows.sweep.plan import Places, SweepPlan
from flows.sweep.results.result_files import finish

LOG = logging.getLogger("test")


def test_the_best_bundle_is_the_best_trials_with_a_card_that_says_so(
    finished: SweepPlan, places: Places
) -> None:
    result = finish(finished, LOG, seconds=1, reason="done")
    best, trial = load_bundle(result["bundle"]), finished.known[int(result["best"]["trial"])]
    of_trial = load_bundle(f"{trial.url}/bundle")
    for name, tensor in of_trial.generator.state_dict().items():
        assert (best.generator.state_dict()[name] == tensor).all()
    assert best.discriminator is not None
    assert best.classifier is not None
    assert best.digest == result["digest"]
    assert best.config.licence == of_trial.config.licence == result["licence"]
    start = inspect_bundle(str(places.bundle)).digest
    for words in (
        f"Trial {trial.name} ({trial.label}) of a sweep of 4 trials",
        start,
        f"- lambda_reconstruction: {trial.settings.lambda_reconstruction}",
        "Measured on 5 held-out faces without Eyeglasses, by which the best step was chosen",
        f"| SSIM of the unchanged reconstruction | {result['best']['test']['ssim']:.3g} |",
        "an untrained evaluator; it sees Eyeglasses in ",
        "| held out: quality |",
    ):
        assert words in best.card, words
    assert finished.store.url not in best.card, "a bundle is passed on, and addresses are nobody's business"
