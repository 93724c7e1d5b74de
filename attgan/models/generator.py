"""AttGAN's generator: an encoder, and a decoder that also receives the requested attributes.

References:
    He et al., "AttGAN: Facial Attribute Editing by Only Changing What You Want", 2017, section 3.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from attgan.models.configs import COLOURS, LAYERS, GeneratorConfig, channels
from attgan.models.layers.blocks import Block, activate, check_images, constant_maps, conv, deconv


class Generator(nn.Module):
    """Edits a face: :meth:`encode` the image, :meth:`decode` with the requested attributes.

    With several CPU threads the last bits of a result can depend on the batch's size (for odd sizes at small widths, up
    to 4e-7), though not on a face's place in the batch. Pad all batches to one size if the bytes must be reproducible.

    Shapes: N images, S image size, n attributes, k styles, w width.
    """

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        sizes = channels(config.width)
        encoder_activation = activate(config.encoder_activation, config.slope)
        inputs = (COLOURS, *sizes)
        self.enc_layers = nn.ModuleList(
            conv(inputs[depth], sizes[depth], config.encoder_norm, encoder_activation)
            for depth in range(LAYERS)
        )
        self.dec_layers = nn.ModuleList(_decoder(config))

    def forward(self, images: Tensor, attributes: Tensor) -> Tensor:
        """Edit (N, 3, S, S) images in [-1, 1] towards (N, n) attributes or (N, n + k) attributes and styles.

        Returns:
            (N, 3, S, S) in [-1, 1].

        Raises:
            ValueError: images or attributes of another shape.
        """
        return self.decode(self.encode(images), attributes)

    def encode(self, images: Tensor) -> list[Tensor]:
        """The features after each encoder layer: (N, w, S/2, S/2) to (N, min(16w, 1024), S/32, S/32).

        Raises:
            ValueError: images that are not (N, 3, S, S).
        """
        check_images(images, self.config.image_size)
        features = []
        hidden = images
        for layer in self.enc_layers:
            hidden = layer(hidden)
            features.append(hidden)
        return features

    def decode(self, features: list[Tensor], attributes: Tensor) -> Tensor:
        """Turn :meth:`encode`'s features and an attribute vector into (N, 3, S, S) images in [-1, 1].

        Args:
            features: of N images.
            attributes: (N, n + k), or (N, n): then each style is 0, that is unknown.

        Raises:
            ValueError: attributes of another shape.
        """
        hidden = features[-1]
        attributes = self._with_styles(attributes, len(hidden))
        hidden = torch.cat([hidden, constant_maps(attributes, hidden)], dim=1)
        for depth, layer in enumerate(self.dec_layers):
            hidden = layer(hidden)
            joined = [hidden]
            if depth < self.config.shortcut_layers:
                joined.append(features[_mirror(depth)])
            if depth < self.config.inject_layers:
                joined.append(constant_maps(attributes, hidden))
            if len(joined) > 1:
                hidden = torch.cat(joined, dim=1)
        return hidden

    def _with_styles(self, attributes: Tensor, count: int) -> Tensor:
        config = self.config
        if attributes.shape == (count, config.n_attributes):
            return functional.pad(attributes, (0, config.n_styles)) if config.n_styles else attributes
        if attributes.shape != (count, config.n_inputs):
            wanted = f"{(count, config.n_attributes)} or, with styles, {(count, config.n_inputs)}"
            raise ValueError(f"attributes of shape {tuple(attributes.shape)} where {wanted} are wanted")
        return attributes


def decoder_inputs(config: GeneratorConfig) -> tuple[int, ...]:
    """Input channels of each of the five decoder layers, shortcuts and attributes included."""
    sizes = channels(config.width)
    inputs = [sizes[-1] + config.n_inputs]
    for depth in range(LAYERS - 1):
        shortcut = sizes[_mirror(depth)] if depth < config.shortcut_layers else 0
        injected = config.n_inputs if depth < config.inject_layers else 0
        inputs.append(sizes[-1 - depth] + shortcut + injected)
    return tuple(inputs)


def _mirror(depth: int) -> int:
    """The encoder layer whose features have the size of decoder layer ``depth``'s output."""
    return LAYERS - 2 - depth


def _decoder(config: GeneratorConfig) -> list[Block]:
    sizes = channels(config.width)
    inputs = decoder_inputs(config)
    activation = activate(config.decoder_activation, config.slope)
    inner = [
        deconv(inputs[depth], sizes[-1 - depth], config.decoder_norm, activation)
        for depth in range(LAYERS - 1)
    ]
    return [*inner, deconv(inputs[-1], COLOURS, "none", nn.Tanh())]


def with_styles(generator: Generator, styles: tuple[str, ...]) -> Generator:
    """A copy that also takes a style vector. Its new weights are 0, so at first the style vector changes nothing.

    Args:
        generator: without styles.
        styles: their names.
    """
    config = generator.config.model_copy(update={"styles": styles, "compositing": "direct"})
    widened = Generator(config).to(memory_format=torch.channels_last)
    tensors = generator.state_dict()
    for depth in {0, *range(1, config.inject_layers + 1)}:
        name = f"dec_layers.{depth}.layers.0.weight"
        # (inputs, outputs, 4, 4), the attributes' inputs last.
        weight = tensors[name]
        tensors[name] = torch.cat([weight, weight.new_zeros(len(styles), *weight.shape[1:])])
    widened.load_state_dict(tensors)
    return widened
