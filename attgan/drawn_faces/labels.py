"""CelebA's 40 attributes of a drawn face."""

from __future__ import annotations

from attgan.attributes import CELEBA
from attgan.drawn_faces.camera import is_blurry
from attgan.drawn_faces.face import Face
from attgan.drawn_faces.features.clothes import wears_earrings, wears_tie
from attgan.drawn_faces.features.hair import style_of


def labels(face: Face) -> dict[str, bool]:
    """CelebA's 40 attributes, in its order.

    An attribute is True if it is drawn and visible. Matters of taste and what is never drawn (Attractive,
    Double_Chin, High_Cheekbones, Oval_Face, Pointy_Nose, Wearing_Hat, Wearing_Necklace) are always False.
    """
    positive = _hair(face) | _face(face) | _expression(face) | _worn(face)
    return {name: name in positive for name in CELEBA}


def _hair(face: Face) -> set[str]:
    traits, appearance = face.traits, face.appearance
    found = {
        "Bushy_Eyebrows": traits.bushy_brows,
        "Mustache": traits.mustache,
        "No_Beard": traits.beard == "none" and not traits.mustache,
        "5_o_Clock_Shadow": traits.beard == "stubble",
        "Goatee": traits.beard == "goatee",
        "Sideburns": traits.beard == "full",
        "Arched_Eyebrows": face.build.brow_arch - 0.6 * traits.male > 0.35,
        "Bald": traits.bald,
    }
    if not traits.bald:
        style = style_of(face)
        hangs = style.flow == "fall" and not style.ears
        found |= {
            "Bangs": traits.bangs,
            "Black_Hair": traits.hair == "black",
            "Blond_Hair": traits.hair == "blond",
            "Brown_Hair": traits.hair == "brown",
            "Gray_Hair": traits.hair == "gray",
            "Wavy_Hair": style.flow == "curl" or (hangs and appearance.wave > 0.62),
            "Straight_Hair": hangs and appearance.wave < 0.5,
            "Receding_Hairline": style.ears and appearance.recession > 0.7 and not traits.bangs,
        }
    return _names(found)


def _face(face: Face) -> set[str]:
    traits, build, appearance = face.traits, face.build, face.appearance
    painted = not traits.male
    return _names(
        {
            "Male": traits.male,
            "Young": traits.young,
            "Pale_Skin": traits.pale,
            "Bags_Under_Eyes": not traits.young,
            "Big_Lips": build.lips - 0.4 * traits.male > 0.35,
            "Big_Nose": build.nose_width + 0.6 * traits.male > 0.9,
            "Chubby": build.cheeks + 0.5 * build.face_width > 0.75,
            "Heavy_Makeup": painted and appearance.lipstick > 0.5 and appearance.eye_shadow > 0.5,
            "Rosy_Cheeks": painted and appearance.blush > 0.75,
            "Wearing_Lipstick": painted and appearance.lipstick > 0.0,
        }
    )


def _expression(face: Face) -> set[str]:
    return _names(
        {
            "Mouth_Slightly_Open": face.traits.mouth_open,
            "Smiling": face.moment.smile > 0.45,
            "Narrow_Eyes": face.build.eye_open - 0.6 * face.moment.smile < -0.8,
            "Blurry": is_blurry(face),
        }
    )


def _worn(face: Face) -> set[str]:
    return _names(
        {
            "Eyeglasses": face.traits.glasses,
            "Wearing_Earrings": wears_earrings(face),
            "Wearing_Necktie": wears_tie(face),
        }
    )


def _names(found: dict[str, bool]) -> set[str]:
    return {name for name, value in found.items() if value}
