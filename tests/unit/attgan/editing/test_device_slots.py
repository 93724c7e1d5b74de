"""Stream slots: batches return in order, padded or not, shared by threads, compiled or not."""

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

from attgan.editing.device_slots import (
    FittingForward,
    StreamSlot,
    compile_if_possible,
    make_forward,
    share_slots,
)
from attgan.editing.editor import Editor, make_editor
from attgan.models import Generator, GeneratorConfig, fresh

CPU = torch.device("cpu")
RANDOM = np.random.default_rng(2)
FACES = RANDOM.integers(0, 255, (11, 64, 64, 3), dtype=np.uint8)
TARGETS = RANDOM.choice([-0.5, 0.5], (11, 13)).astype(np.float32)


def small_generator() -> Generator:
    return fresh(Generator, GeneratorConfig(image_size=64, width=2), seed=0).eval().requires_grad_(False)


@pytest.mark.parametrize("count", [0, 1, 11])
def test_results_are_in_the_order_of_the_faces(count: int) -> None:
    editor = make_editor(small_generator(), "cpu", 4)
    edited = editor.edit(FACES[:count], TARGETS[:count])
    assert edited.shape == FACES[:count].shape
    for i in range(count):
        np.testing.assert_array_equal(edited[i : i + 1], editor.edit(FACES[i : i + 1], TARGETS[i : i + 1]))


def test_shared_slot_serves_one_thread_at_a_time() -> None:
    generator = small_generator()
    forward = make_forward(generator, CPU)
    slots = [StreamSlot(forward, CPU, (4, 64, 64, 3), 13) for _ in range(2)]
    threads_in: Counter[int] = Counter()
    calls = itertools.count()
    both = threading.Barrier(2)

    def waiting(faces: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        if next(calls) < 2:
            # Never returns if there is only one slot.
            both.wait()
        return forward(faces, targets)

    for slot in slots:
        slot._forward = waiting
    share = share_slots(slots)

    @contextlib.contextmanager
    def counted() -> Iterator[StreamSlot]:
        with share() as slot:
            threads_in[id(slot)] += 1
            assert threads_in[id(slot)] == 1
            yield slot
            threads_in[id(slot)] -= 1

    editor = Editor(generator, None, CPU, 4, counted)
    wanted = make_editor(generator, "cpu", 4).edit(FACES, TARGETS)
    with ThreadPoolExecutor(5) as pool:
        for edited in pool.map(lambda _: editor.edit(FACES, TARGETS), range(20)):
            np.testing.assert_array_equal(edited, wanted)


@pytest.mark.parametrize(("batch", "most", "size"), [(8, 4, 4), (6, 2, 1)])
def test_a_batch_that_memory_does_not_hold_is_edited_in_equal_parts_from_then_on(
    caplog: pytest.LogCaptureFixture, batch: int, most: int, size: int
) -> None:
    forward, sizes, calls = make_forward(small_generator(), CPU), [], itertools.count()

    def limited(faces: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        if next(calls) >= 2 and len(faces) > most:
            raise torch.OutOfMemoryError("no room")
        sizes.append(len(faces))
        return forward(faces, targets)

    slot = StreamSlot(FittingForward(limited), CPU, (batch, 64, 64, 3), 13)
    results = [np.empty_like(FACES[:batch]) for _ in range(4)]
    with caplog.at_level(logging.WARNING):
        for edited in results:
            slot.edit(FACES[:batch], TARGETS[:batch], edited)
    assert sizes == [batch] * 2 + [size] * (2 * batch // size)
    for edited in results[1:]:
        assert np.abs(edited.astype(int) - results[0]).max() <= 1
    assert f"in parts of {size}" in caplog.text


@pytest.mark.long
def test_generator_runs_without_a_compiler(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    from torch._inductor import config

    # An empty cache: nothing is compiled already.
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(config.cpp, "cxx", ("/nowhere/c++",))
    torch.compiler.reset()
    forward = make_forward(small_generator(), CPU)
    blank = torch.zeros((5, 64, 64, 3), dtype=torch.uint8), torch.zeros((5, 13))
    with caplog.at_level(logging.WARNING):
        assert compile_if_possible(forward, *blank) is forward
    assert "uncompiled" in caplog.text


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_gpu_slots_give_the_faces_of_a_plain_call() -> None:
    generator = small_generator()
    on_gpu = make_editor(generator, "cuda", batch_size=4)
    edited = on_gpu.edit(FACES, TARGETS)
    # More threads than slots.
    with ThreadPoolExecutor(3) as pool:
        for again in pool.map(lambda _: on_gpu.edit(FACES, TARGETS), range(12)):
            np.testing.assert_array_equal(again, edited)
    plain = make_forward(generator, on_gpu.device)
    with torch.inference_mode():
        faces, targets = torch.from_numpy(FACES).cuda(), torch.from_numpy(TARGETS).cuda()
        wanted = plain(faces, targets).cpu().numpy()
    # bfloat16, added up in another order.
    assert np.abs(edited.astype(int) - wanted).max() <= 3
