"""Lanes: batches go and come back in order, whatever fills them, and compiled or not the faces are the same."""

import contextlib
import itertools
import logging
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from attgan.editing.editor import Editor, make_editor
from attgan.editing.stream_slots import StreamSlot, compiled_or, forward_of, shared
from attgan.models import Generator, GeneratorConfig, fresh

CPU = torch.device("cpu")
RANDOM = np.random.default_rng(2)
FACES = RANDOM.integers(0, 255, (11, 64, 64, 3), dtype=np.uint8)
TARGETS = RANDOM.choice([-0.5, 0.5], (11, 13)).astype(np.float32)


def small_generator() -> Generator:
    return fresh(Generator, GeneratorConfig(image_size=64, width=2), seed=0).eval().requires_grad_(False)


@pytest.mark.parametrize("count", [0, 1, 4, 5, 8, 11])
def test_batches_come_back_where_they_belong(count: int) -> None:
    editor = make_editor(small_generator(), "cpu", 4)
    edited = editor.edit(FACES[:count], TARGETS[:count])
    assert edited.shape == FACES[:count].shape
    for i in range(count):
        np.testing.assert_array_equal(edited[i : i + 1], editor.edit(FACES[i : i + 1], TARGETS[i : i + 1]))


def test_what_fills_a_batch_does_not_stay_for_the_next() -> None:
    slot = StreamSlot(forward_of(small_generator(), CPU), CPU, (8, 64, 64, 3), 13)
    whole, some = np.empty_like(FACES[:8]), np.empty_like(FACES[:3])
    slot.edit(FACES[:8], TARGETS[:8], whole)
    slot.edit(FACES[:3], TARGETS[:3], some)
    np.testing.assert_array_equal(some, whole[:3])


def test_threads_may_share_an_editor() -> None:
    editor = make_editor(small_generator(), "cpu", batch_size=2)
    wanted = editor.edit(FACES, TARGETS)
    with ThreadPoolExecutor(4) as pool:
        for edited in pool.map(lambda _: editor.edit(FACES, TARGETS), range(12)):
            np.testing.assert_array_equal(edited, wanted)


def test_a_shared_lane_has_one_thread_at_a_time() -> None:
    generator = small_generator()
    forward = forward_of(generator, CPU)
    slots = [StreamSlot(forward, CPU, (4, 64, 64, 3), 13) for _ in range(2)]
    at_work: Counter[int] = Counter()
    calls = itertools.count()
    both = threading.Barrier(2)

    def watched(faces: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        if next(calls) < 2:
            both.wait()  # nobody comes if one lane is all there is
        return forward(faces, targets)

    for slot in slots:
        slot._forward = watched
    share = shared(slots)

    @contextlib.contextmanager
    def noted() -> Iterator[StreamSlot]:
        with share() as slot:
            at_work[id(slot)] += 1
            assert at_work[id(slot)] == 1
            yield slot
            at_work[id(slot)] -= 1

    editor = Editor(generator, None, CPU, 4, noted)
    wanted = make_editor(generator, "cpu", 4).edit(FACES, TARGETS)
    with ThreadPoolExecutor(5) as pool:
        for edited in pool.map(lambda _: editor.edit(FACES, TARGETS), range(20)):
            np.testing.assert_array_equal(edited, wanted)


def test_without_a_compiler_the_generator_runs_all_the_same(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    from torch._inductor import config

    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))  # where nothing is compiled already
    monkeypatch.setattr(config.cpp, "cxx", ("/nowhere/c++",))
    torch.compiler.reset()
    forward = forward_of(small_generator(), CPU)
    nothing = torch.zeros((5, 64, 64, 3), dtype=torch.uint8), torch.zeros((5, 13))
    with caplog.at_level(logging.WARNING):
        assert compiled_or(forward, *nothing) is forward
    assert "uncompiled" in caplog.text


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu_the_lanes_give_the_same_faces_as_a_plain_call() -> None:
    generator = small_generator()
    on_gpu = make_editor(generator, "cuda", batch_size=4)
    edited = on_gpu.edit(FACES, TARGETS)
    with ThreadPoolExecutor(3) as pool:  # more than there are lanes
        for again in pool.map(lambda _: on_gpu.edit(FACES, TARGETS), range(12)):
            np.testing.assert_array_equal(again, edited)
    plain = forward_of(generator, on_gpu.device)
    with torch.inference_mode():
        faces, targets = torch.from_numpy(FACES).cuda(), torch.from_numpy(TARGETS).cuda()
        wanted = plain(faces, targets).cpu().numpy()
    assert np.abs(edited.astype(int) - wanted).max() <= 3  # bfloat16, in another order
