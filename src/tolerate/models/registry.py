"""Names of models: the zoo of picture generators and the language models, one line each.

Wherever a listed name is accepted, `package.module:attribute` of a model's class is too. Torch is imported only when a
class is looked up.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tolerate.base.registry import attribute, entry_named
from tolerate.errors import OptionError

if TYPE_CHECKING:
    from tolerate.models.base import Trainable


@dataclass(frozen=True)
class ModelEntry:
    """One listed model: where its class is, what it is, and where the idea was published."""

    path: str  # "package.module:attribute" of its class
    title: str
    paper: str
    family: str  # of picture models: likelihood, adversarial or flow


ZOO: dict[str, ModelEntry] = {
    "vae": ModelEntry(
        "tolerate.models.pictures.vae:VAE",
        "variational autoencoder, one prior for all classes",
        "Kingma and Welling 2014, arXiv:1312.6114",
        "likelihood",
    ),
    "cvae": ModelEntry(
        "tolerate.models.pictures.cvae:CVAE",
        "conditional variational autoencoder",
        "Kingma et al. 2014, arXiv:1406.5298; Sohn et al. 2015",
        "likelihood",
    ),
    "vae-mixture": ModelEntry(
        "tolerate.models.pictures.vae_mixture:MixtureVAE",
        "autoencoder with a mixture fitted to the latents of each class",
        "Ghosh et al. 2020, arXiv:1903.12436",
        "likelihood",
    ),
    "gan": ModelEntry(
        "tolerate.models.pictures.gan:GAN",
        "adversarial nets of fully connected layers",
        "Goodfellow et al. 2014, arXiv:1406.2661",
        "adversarial",
    ),
    "dcgan": ModelEntry(
        "tolerate.models.pictures.dcgan:DCGAN",
        "convolutional adversarial nets",
        "Radford et al. 2016, arXiv:1511.06434",
        "adversarial",
    ),
    "wgan-gp": ModelEntry(
        "tolerate.models.pictures.wgan_gp:WGANGP",
        "Wasserstein critic with gradient penalty",
        "Gulrajani et al. 2017, arXiv:1704.00028",
        "adversarial",
    ),
    "r3gan": ModelEntry(
        "tolerate.models.pictures.r3gan:R3GAN",
        "relativistic pairing loss with R1 and R2",
        "Huang et al. 2024, arXiv:2501.05441",
        "adversarial",
    ),
    "flow": ModelEntry(
        "tolerate.models.pictures.flow:Flow",
        "flow matching in pixel space",
        "Lipman et al. 2023, arXiv:2210.02747",
        "flow",
    ),
    "latent-flow": ModelEntry(
        "tolerate.models.pictures.latent_flow:LatentFlow",
        "flow matching in the latent space of an autoencoder",
        "Lipman et al. 2023, arXiv:2210.02747; Rombach et al. 2022, arXiv:2112.10752",
        "flow",
    ),
}

TEXT_MODELS: dict[str, ModelEntry] = {
    "transformer": ModelEntry(
        "tolerate.models.texts.transformer:Transformer",
        "Transformer of the Llama type with a pointer",
        "Touvron et al. 2023, arXiv:2302.13971; See et al. 2017, arXiv:1704.04368",
        "transformer",
    ),
    "lstm": ModelEntry(
        "tolerate.models.texts.lstm:LSTM",
        "long short-term memory",
        "Hochreiter and Schmidhuber 1997; Mikolov et al. 2010",
        "recurrent",
    ),
    "t5": ModelEntry(
        "tolerate.models.texts.t5:T5",
        "encoder-decoder of the T5 type with a pointer",
        "Raffel et al. 2020, arXiv:1910.10683; See et al. 2017, arXiv:1704.04368",
        "encoder-decoder",
    ),
    "blend": ModelEntry(
        "tolerate.models.texts.blend:Blend",
        "a Transformer that begins as counts",
        "Klakow 1998; Kneser and Ney 1995",
        "blend",
    ),
}

ALL_MODELS = {**ZOO, **TEXT_MODELS}
NAMES = {entry.path: name for name, entry in ALL_MODELS.items()}


def model_path(name: str, entries: Mapping[str, ModelEntry] = ZOO) -> str:
    """The path of a model by its listed name; a `package.module:attribute` is returned as it is, without an import.

    >>> model_path("vae")
    'tolerate.models.pictures.vae:VAE'
    """
    return name if ":" in name else entry_named(name, entries, "model").path


def name_of(kind: type) -> str:
    """The listed name of a model's class, else its `package.module:attribute`: what `model.json` stores."""
    path = f"{kind.__module__}:{kind.__qualname__}"
    return NAMES.get(path, path)


def find(name: str) -> "type[Trainable]":
    """The class of a listed model, or of any `package.module:attribute` that is a Trainable.

    >>> find("vae").__name__
    'VAE'
    """
    from tolerate.models.base import Trainable

    kind = attribute(model_path(name, ALL_MODELS))
    if not (isinstance(kind, type) and issubclass(kind, Trainable)):
        raise OptionError(f"{name} is {kind!r}, expected a subclass of tolerate.models.base.Trainable")
    return kind


def build(name: str, /, *dimensions: object, seed: int = 0, **options: object) -> "Trainable":
    """A new model whose initial weights are set by the seed.

    dimensions: shape (channels, height, width) and number of classes of a picture model; context and vocabulary of a
    language model.

    >>> build("vae", (1, 8, 8), 10, latent=8).options["latent"]
    8
    """
    from tolerate.models.base import torch_seed

    constructor: Callable[..., Trainable] = find(name)
    with torch_seed(seed):
        try:
            return constructor(*dimensions, **options)
        except TypeError as error:
            listed = ", ".join(f"{key}={value!r}" for key, value in options.items())
            raise OptionError(f"the model {name} cannot be built with {listed}: {error}") from error
