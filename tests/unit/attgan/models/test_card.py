from attgan.models import GeneratorConfig
from attgan.models.card import read_card, write_card


def test_card_is_read_as_it_was_written():
    about, metrics = (
        "Trained.\n\n### Data\n\n| a | b |\n| --- | --- |\n| c | 1 |",
        {"psnr": 24.07, "loss": -1.5e-7},
    )
    card = write_card(about, "Free", ("Male", "Young"), {"generator": GeneratorConfig()}, metrics)
    assert read_card(card) == (about, metrics)
    assert write_card(*(read_card(card)[0], "Free"), ("Male",), {}, {}).startswith(
        "# AttGAN bundle\n\nTrained."
    )
