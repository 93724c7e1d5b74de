"""AttGAN's discriminator: shared convolutions with two heads, a critic and an attribute classifier.

References:
    He et al., "AttGAN: Facial Attribute Editing by Only Changing What You Want", 2017, section 3.
    Mo et al., "Freeze the Discriminator: a Simple Baseline for Fine-Tuning GANs", 2020 (FreezeD).
"""

from torch import Tensor, nn

from attgan.models.configs import COLOURS, LAYERS, SIZE_STEP, DiscriminatorConfig, channels
from attgan.models.layers.blocks import activate, check_images, conv, head


class Discriminator(nn.Module):
    """Scores how real a face looks, and predicts which attributes it shows.

    Shapes: N images, S image size, n attributes, F features.
    """

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        self.config = config
        activation = activate(config.activation, config.slope)
        head_activation = activate(config.head_activation, config.slope)
        sizes = (COLOURS, *channels(config.width))
        self.conv = nn.Sequential(
            *(conv(sizes[depth], sizes[depth + 1], config.norm, activation) for depth in range(LAYERS))
        )
        features = sizes[-1] * (config.image_size // SIZE_STEP) ** 2
        self.fc_adv = head(features, config.hidden, 1, head_activation)
        self.fc_cls = head(features, config.hidden, config.n_attributes, head_activation)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Score (N, 3, S, S) images in [-1, 1].

        Returns:
            critic (N,): unbounded, higher for real; attribute logits (N, n).

        Raises:
            ValueError: images of another shape.
        """
        features = self.features(images)
        return self.fc_adv(features).squeeze(1), self.fc_cls(features)

    def critic(self, images: Tensor) -> Tensor:
        """The critic's scores (N,) without the classifier's: all that the gradient penalty needs."""
        score: Tensor = self.fc_adv(self.features(images))
        return score.squeeze(1)

    def features(self, images: Tensor) -> Tensor:
        """The input of both heads: (N, F).

        Raises:
            ValueError: images that are not (N, 3, S, S).
        """
        check_images(images, self.config.image_size)
        features: Tensor = self.conv(images)
        return features.flatten(1)
