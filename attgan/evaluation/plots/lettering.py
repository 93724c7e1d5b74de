"""Text in pictures: the font that comes with Pillow, the letters it lacks, and lines that have to fit."""

from __future__ import annotations

from PIL import ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_SPELT = str.maketrans(
    {
        "λ": "lambda",
        "×": "x",
        "–": "-",
        "−": "-",
        "→": "to",
        "≥": ">=",
        "≤": "<=",
    }  # it would show empty boxes
)


def font_of(size: int) -> Font:
    """The font at a size in pixels."""
    return ImageFont.load_default(size)


def legible(text: str) -> str:
    """The text with the letters that the font lacks spelt out."""
    return text.translate(_SPELT)


def without_beginning(text: str, font: Font, width: float) -> str:
    """The text, or as much of its end as fits: of a path the end says most."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength("…" + text) > width:
        text = text[1:]
    return "…" + text


def without_end(text: str, font: Font, width: float) -> str:
    """The text, or as much of its beginning as fits."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text.rstrip(" ,") + "…"


def wrapped(text: str, font: Font, width: float, lines: int) -> list[str]:
    """The text in at most so many lines, broken at spaces; what is too long for them loses its end."""
    words, found = text.split(), [""]
    while words:
        longer = f"{found[-1]} {words[0]}".strip()
        if found[-1] and font.getlength(longer) > width:
            if len(found) == lines:
                found[-1] = " ".join([found[-1], *words])
                break
            longer = words[0]
            found.append("")
        found[-1] = longer
        del words[0]
    return [without_end(line, font, width) for line in found]
