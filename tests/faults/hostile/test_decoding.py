"""Whatever lies in a bucket is an image or bad data: no other error, no dead process, no unbounded memory, no noise."""

import pytest

from attgan.data.codec import decode, prepare, write
from attgan.data.codec.provenance import Provenance, read_mark, xmp_packet
from tests.faults.hostile.good import SIDE, good_files
from tests.faults.hostile.handmade import bombs, no_images, odd_images
from tests.faults.hostile.mutations import mutants
from tests.faults.hostile.verdicts import Verdict, photograph_cost, too_dear, verdicts

MUTANTS = 1500


def judged(files: dict[str, bytes]) -> dict[str, Verdict]:
    """The verdicts, after what holds for all: an image or bad data with a reason, nothing printed, no great cost."""
    found, printed = verdicts(files)
    strange = {name: verdict for name, verdict in found.items() if verdict.kind not in ("image", "DataError")}
    assert not strange
    assert printed == ""
    assert found.keys() == files.keys()
    for name, verdict in found.items():
        if verdict.kind == "DataError":
            assert verdict.stage == "decode", name
            assert 0 < len(verdict.reason) <= 220, name
            assert verdict.reason.isprintable(), name
        else:
            assert min(verdict.width, verdict.height) > 0, name
    # Decoded, the bombs would take many times as much.
    assert not too_dear(files, found, lambda name: 2 * photograph_cost())
    return found


def named(found: dict[str, Verdict], kind: str) -> dict[str, str]:
    return {name: verdict.reason for name, verdict in found.items() if verdict.kind == kind}


def test_good_files_are_good() -> None:
    found = judged(good_files())
    assert not named(found, "DataError")
    assert {(verdict.width, verdict.height) for verdict in found.values()} == {(SIDE, SIDE)}


def test_what_is_no_image_is_refused() -> None:
    found = judged(no_images())
    assert not named(found, "image")


def test_odd_but_sound_images_are_decoded() -> None:
    found = judged(odd_images())
    assert not named(found, "DataError")


def test_bombs_are_refused_at_no_great_cost() -> None:
    files = bombs()
    found = judged(files)
    assert not named(found, "image")
    for name, reason in named(found, "DataError").items():
        assert any(word in reason for word in ("the limit is", "more than", "at most", "too large")), name


def test_damaged_files_are_images_or_bad_data() -> None:
    files = mutants(MUTANTS)
    assert len(set(files.values())) > 0.95 * MUTANTS, "each is a file of its own"
    found = judged(files)
    for kind in ("image", "DataError"):
        assert len(named(found, kind)) > MUTANTS / 10, "some damage is seen, some is not"


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_what_strange_files_say_besides_never_fails_an_edit() -> None:
    mark = xmp_packet(Provenance("attgan 0.1.0", "sha256:aa", "Eyeglasses=1"))
    for name, data in {**good_files(), **odd_images()}.items():
        image = decode(data)
        for policy in ("keep", "no-location", "none"):
            written = write(prepare(image, image.format, policy, mark))
            assert (read_mark(written) is not None) == (image.format in ("JPEG", "PNG", "WEBP", "TIFF")), name
            assert decode(written).orientation == image.orientation, name


def test_hostile_files_have_no_mark_and_do_not_trouble_its_reader() -> None:
    for name, data in {**no_images(), **odd_images(), **bombs(), **mutants(500)}.items():
        assert read_mark(data) is None, name


def test_the_same_files_are_damaged_in_the_same_way() -> None:
    assert mutants(60) == mutants(60)
    assert mutants(60).items() <= mutants(90).items()
    assert mutants(60, seed=1).values() != mutants(60).values()


@pytest.mark.parametrize("seconds", [0.01])
def test_a_process_that_hangs_or_dies_is_found(seconds: float) -> None:
    files = {"a": b"", "b": b""}
    found, _ = verdicts(files, seconds=seconds)
    assert found == {name: Verdict("killed") for name in files}
