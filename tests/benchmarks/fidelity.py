"""What of a photograph comes back: fields, largest difference outside the edit, size and time, by kind of file.

    python -m tests.benchmarks.fidelity FOLDER [FOLDER …] --images 60

Each photograph is written in every kind by Pillow, with metadata; then the middle of it is darkened, as an edit would,
and it is written back. Its size is that without the darkening, but with the mark of an edit. Fields are counted with
``exiftool`` where that is installed. A JPEG's difference is compared with that of decoding and encoding the same
picture once by Pillow; its time with that of encoding at quality 95 by libjpeg-turbo, as earlier versions did.
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import imagecodecs
import numpy as np
import simplejpeg
from PIL import Image
from rich.console import Console
from rich.table import Table

from attgan.data import codec
from attgan.data.codec.orientation import back, turned
from attgan.data.codec.provenance import Provenance, xmp_packet
from tests.support.images.colour_profiles import SRGB, swapped_primaries
from tests.support.images.metadata_samples import PHOTOSHOP, exif, xmp
from tests.support.images.pictures import saved
from tests.support.images.raw_images import segment, wide_png, with_segments

MARK = xmp_packet(Provenance("attgan 0", "sha256:" + 64 * "0", "Eyeglasses=1"))
# What the mark adds, what is about the file or the thumbnail, and what follows from the size of others.
_NOT_COUNTED = (
    "SourceFile",
    "System:",
    "File:",
    "ExifTool:",
    "IFD1:",
    "Composite:",
    "XMP-iptcExt:AI",
    "XMP-iptcExt:Dig",
)
_NOT_COUNTED += (
    "Photoshop:",
    "XMP-x:",
    "PNG:",
    "RIFF:",
    "JFIF:JFIFVersion",
    "IFD0:Strip",
    "IFD0:RowsPerStrip",
    "IFD0:Predictor",
)
_NOT_COUNTED += ("IFD0:Compression", "IFD0:PlanarConfiguration", "IFD0:FillOrder", "IFD0:SamplesPerPixel")
_TIMED = 5
# Beyond the edit's own blocks: what smooth chroma spreads.
_MARGIN = 32

Make = Callable[[np.ndarray], bytes]


def jpeg(
    pixels: np.ndarray, orientation: int = 1, profile: bytes = SRGB, mode: str = "RGB", **options: object
) -> bytes:
    """A JPEG with all metadata, of upright pixels."""
    stored = Image.fromarray(turned(pixels, back(orientation))).convert(mode)
    data = saved(stored, "JPEG", icc_profile=profile, dpi=(300, 300), **options)
    return with_segments(
        data,
        segment(0xE1, b"Exif\0\0" + exif("<", orientation)),
        segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp()),
        segment(0xED, b"Photoshop 3.0\0" + PHOTOSHOP),
    )


def other(
    pixels: np.ndarray, format: str, profile: bytes = SRGB, mode: str = "RGB", **options: object
) -> bytes:
    """A file of another format, likewise."""
    described = (
        {} if format in ("GIF", "BMP") else {"exif": exif("<", 1, thumbnail=b""), "icc_profile": profile}
    )
    return saved(Image.fromarray(pixels).convert(mode), format, **described, **options)


def deep(pixels: np.ndarray, format: str) -> bytes:
    """16 bits, of which the lower eight are noise."""
    noise = np.random.default_rng(0).integers(0, 256, pixels.shape, np.uint16)
    values = pixels.astype(np.uint16) * 256 + noise
    return wide_png(values) if format == "PNG" else imagecodecs.tiff_encode(values, compression="deflate")


CAMERA = [
    [2 + (row + column) // 2 for row in range(8) for column in range(8)],
    [4 + row for row in range(8)] * 8,
]
KINDS: dict[str, Make] = {
    "JPEG 4:2:0, quality 85": lambda pixels: jpeg(pixels, quality=85),
    "JPEG 4:2:2, a camera's tables": lambda pixels: jpeg(pixels, qtables=CAMERA, subsampling=1),
    "JPEG 4:4:4, quality 92": lambda pixels: jpeg(pixels, quality=92, subsampling=0),
    "JPEG, optimised": lambda pixels: jpeg(pixels, quality=85, optimize=True),
    "JPEG, progressive": lambda pixels: jpeg(pixels, quality=85, progressive=True),
    "JPEG, grey": lambda pixels: jpeg(pixels, mode="L", profile=b"", quality=85),
    "JPEG, CMYK": lambda pixels: jpeg(pixels, mode="CMYK", profile=b"", quality=85),
    "JPEG, another profile": lambda pixels: jpeg(pixels, profile=swapped_primaries(), quality=85),
    "JPEG, turned (6)": lambda pixels: jpeg(pixels, 6, quality=85),
    "JPEG, mirrored (5)": lambda pixels: jpeg(pixels, 5, quality=85),
    "PNG": lambda pixels: other(pixels, "PNG", dpi=(300, 300)),
    "PNG, another profile": lambda pixels: other(pixels, "PNG", swapped_primaries()),
    "PNG, 16 bits": lambda pixels: deep(pixels, "PNG"),
    "WebP": lambda pixels: other(pixels, "WEBP", quality=85),
    "WebP, lossless": lambda pixels: other(pixels, "WEBP", lossless=True),
    "TIFF": lambda pixels: other(pixels, "TIFF", dpi=(300, 300)),
    "TIFF, CMYK": lambda pixels: other(pixels, "TIFF", b"", "CMYK"),
    "TIFF, 16 bits": lambda pixels: deep(pixels, "TIFF"),
    "GIF": lambda pixels: other(pixels, "GIF"),
    "BMP": lambda pixels: other(pixels, "BMP"),
}


def samples(data: bytes) -> np.ndarray:
    """As stored, read by other means than ours where there are any."""
    if data[:4] == b"\x89PNG" and data[24] == 16:
        return imagecodecs.png_decode(data)
    if data[:2] in (b"II", b"MM") and codec.decode(data).stored is not None:
        picture = Image.open(io.BytesIO(data))
        return np.asarray(picture) if picture.mode == "CMYK" else imagecodecs.tiff_decode(data)
    picture = Image.open(io.BytesIO(data))
    return np.asarray(picture.convert("RGB") if picture.mode == "P" else picture)


def difference(before: np.ndarray, after: np.ndarray) -> int:
    """The largest, outside the middle and what is next to it."""
    apart = np.abs(before.astype(np.int64) - after.astype(np.int64))
    height, width = apart.shape[:2]
    margins = [max(0, side // 4 - _MARGIN) for side in (height, width)]
    apart[margins[0] : height - margins[0], margins[1] : width - margins[1]] = 0
    return int(apart.max())


def edited(image: codec.Decoded) -> codec.Decoded:
    """The middle half of it darkened."""
    pixels = image.pixels.copy()
    height, width = pixels.shape[:2]
    part = pixels[height // 4 : height - height // 4, width // 4 : width - width // 4]
    part[:] = part // 2
    return image.with_pixels(pixels)


def once(image: codec.Decoded, data: bytes) -> bytes:
    """The same picture encoded by Pillow as its file is coded."""
    with Image.open(io.BytesIO(data)) as source:
        # Loaded pixels replaced by those of the edit keep what Pillow knows of the file's coding.
        source.load()
        stored = image.pixels if image.stored is None else image.stored.samples
        picture = Image.fromarray(turned(stored, back(image.orientation)))
        source.im.paste(picture.convert(source.mode).im, (0, 0, *source.size))
        progressive = bool(source.info.get("progressive"))
        buffer = io.BytesIO()
        source.save(buffer, "JPEG", quality="keep", progressive=progressive)
    return buffer.getvalue()


def fields(data: bytes) -> dict[str, str] | None:
    """Those that describe the photograph, by exiftool; None without it."""
    if shutil.which("exiftool") is None:
        return None
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        done = subprocess.run(["exiftool", "-j", "-G1", "-a", file.name], capture_output=True, check=True)
    (found,) = json.loads(done.stdout)
    return {name: str(value) for name, value in found.items() if not name.startswith(_NOT_COUNTED)}


def quickest(work: Callable[[], object]) -> float:
    """Milliseconds of this thread's CPU time, the least of some."""
    times = []
    for _ in range(_TIMED):
        started = time.thread_time()
        work()
        times.append(time.thread_time() - started)
    return 1000 * min(times)


def measure(kind: str, files: Iterable[bytes]) -> dict[str, str]:
    """One row of the table."""
    sizes, worst, reference, ours, theirs, lost = [], 0, 0, [], [], None
    notes: set[str] = set()
    count = 0
    for data in files:
        before = codec.decode(data)
        image = edited(before)
        ready = codec.prepare(image, image.format, mark=MARK)
        written = codec.write(ready)
        notes.update(ready.notes)
        sizes.append(len(codec.write(codec.prepare(before, image.format, mark=MARK))) / len(data))
        old = samples(data)
        worst = max(worst, difference(old, samples(written)))
        ours.append(quickest(lambda: codec.write(ready)))  # noqa: B023
        if image.format == "JPEG":
            reference = max(reference, difference(old, samples(once(image, data))))
            sampling = simplejpeg.decode_jpeg_header(data)[3]
            sampling = "420" if sampling == "Gray" else sampling
            theirs.append(
                quickest(lambda: simplejpeg.encode_jpeg(image.pixels, 95, "RGB", sampling))  # noqa: B023
            )
        if lost is None and (had := fields(data)) is not None:
            has = fields(written) or {}
            count, lost = len(had), sorted(name for name in had if has.get(name) != had[name])
    return {
        "file": kind,
        "fields": f"{count - len(lost)} of {count}" if lost is not None else "",
        "changed": ", ".join(lost or ()),
        "largest difference": f"{worst} ({reference})" if theirs else str(worst),
        "size, median / p95": f"{statistics.median(sizes):.3f} / {np.percentile(sizes, 95):.3f}",
        "ms": f"{statistics.median(ours):.2f}",
        "ms, before": f"{sum(ours) / sum(theirs):.2f}" if theirs else "",
        "notes": ", ".join(sorted(notes)),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--images", type=int, default=60, help="at most so many, spread over all")
    asked = parser.parse_args()
    paths = sorted(path for folder in asked.folders for path in folder.glob("*.jp*g"))
    originals = [path.read_bytes() for path in paths[:: max(1, len(paths) // asked.images)]]
    rows = [measure("as they are", originals)]
    pictures = [codec.decode(data).pixels for data in originals]
    rows += [measure(kind, (make(pixels) for pixels in pictures)) for kind, make in KINDS.items()]
    table = Table(title=f"{len(originals)} photographs", title_justify="left")
    for column in rows[0]:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*row.values())
    Console(width=170).print(table)


if __name__ == "__main__":
    main()
