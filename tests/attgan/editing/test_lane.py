"""Lanes: batches go and come back in order, whatever fills them, and compiled or not the faces are the same."""

import itertools
import logging
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from attgan.editing.editor import Editor, make_editor
from attgan.editing.lane import Lane, compiled_or, forward_of, open_lanes
from attgan.models import Generator, GeneratorConfig, fresh

CPU = torch.device("cpu")
RANDOM = np.random.default_rng(2)
FACES = RANDOM.integers(0, 255, (11, 64, 64, 3), dtype=np.uint8)
TARGETS = RANDOM.choice([-0.5, 0.5], (11, 13)).astype(np.float32)


def small_generator() -> Generator:
    return fresh(Generator, GeneratorConfig(image_size=64, width=2), seed=0).eval().requires_grad_(False)


@pytest.mark.parametrize("lanes", [1, 2, 3])
@pytest.mark.parametrize("count", [1, 4, 5, 8, 11])
def test_batches_on_several_lanes_come_back_where_they_belong(lanes: int, count: int) -> None:
    generator = small_generator()
    forward = forward_of(generator, CPU)
    several = tuple(Lane(forward, CPU, (4, 64, 64, 3), 13) for _ in range(lanes))
    edited = Editor(generator, None, CPU, 4, lambda: several).edit(FACES[:count], TARGETS[:count])
    one_by_one = [
        make_editor(generator, "cpu", 4).edit(FACES[i : i + 1], TARGETS[i : i + 1]) for i in range(count)
    ]
    np.testing.assert_array_equal(edited, np.concatenate(one_by_one))


def test_no_lane_is_sent_a_batch_before_it_has_given_back_the_last_one() -> None:
    under_way: list[int] = []
    most: list[int] = []

    class Watched(Lane):
        def send(self, faces: np.ndarray, targets: np.ndarray) -> None:
            assert id(self) not in under_way
            under_way.append(id(self))
            most.append(len(under_way))
            super().send(faces, targets)

        def receive(self, edited: np.ndarray) -> None:
            assert under_way.pop(0) == id(self)
            super().receive(edited)

    generator = small_generator()
    lanes = tuple(Watched(forward_of(generator, CPU), CPU, (2, 64, 64, 3), 13) for _ in range(2))
    Editor(generator, None, CPU, 2, lambda: lanes).edit(FACES, TARGETS)
    assert not under_way
    assert max(most) == 2  # so that one is on its way while the other one is computed


def test_what_fills_a_batch_does_not_stay_for_the_next() -> None:
    (lane,) = open_lanes(small_generator(), CPU, batch_size=8)()
    results = []
    for count in (8, 3, 3):
        edited = np.empty_like(FACES[:count])
        lane.send(FACES[:count], TARGETS[:count])
        lane.receive(edited)
        results.append(edited)
    for one, other in itertools.pairwise(results):
        np.testing.assert_array_equal(one[:3], other[:3])


def test_threads_may_share_an_editor_on_a_cpu() -> None:
    editor = make_editor(small_generator(), "cpu", batch_size=2)
    wanted = editor.edit(FACES, TARGETS)
    with ThreadPoolExecutor(4) as pool:
        for edited in pool.map(lambda _: editor.edit(FACES, TARGETS), range(12)):
            np.testing.assert_array_equal(edited, wanted)


def test_without_a_compiler_the_generator_runs_all_the_same(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from torch._inductor import config

    monkeypatch.setattr(config.cpp, "cxx", ("/nowhere/c++",))
    torch.compiler.reset()
    forward = forward_of(small_generator(), CPU)
    nothing = torch.zeros((5, 64, 64, 3), dtype=torch.uint8), torch.zeros((5, 13))
    with caplog.at_level(logging.WARNING), config.patch(force_disable_caches=True):
        assert compiled_or(forward, *nothing) is forward
    assert "uncompiled" in caplog.text


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu_the_lanes_give_the_same_faces_as_a_plain_call() -> None:
    generator = small_generator()
    on_gpu = make_editor(generator, "cuda", batch_size=4)
    assert len(on_gpu.lanes()) == 2
    edited = on_gpu.edit(FACES, TARGETS)
    np.testing.assert_array_equal(edited, on_gpu.edit(FACES, TARGETS))
    plain = forward_of(generator, on_gpu.device)
    with torch.inference_mode():
        faces, targets = torch.from_numpy(FACES).cuda(), torch.from_numpy(TARGETS).cuda()
        wanted = plain(faces, targets).cpu().numpy()
    assert np.abs(edited.astype(int) - wanted).max() <= 3  # bfloat16, in another order
