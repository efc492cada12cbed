"""The zoo: classic generators of pictures, one idea a file, all trained by one loop.

Every entry draws "a picture of this class" on request, for any picture size, channel count and
number of classes. Nothing heavy is imported until a model is asked for.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tolerate.base.registry import attribute
from tolerate.errors import OptionError, hint

if TYPE_CHECKING:
    from tolerate.models.base import Model, Shape


@dataclass(frozen=True)
class Entry:
    """One generator of the zoo: where it is, what it is, and whose idea it was."""

    path: str  # "package.module:attribute" of its Model class
    title: str
    paper: str
    family: str  # likelihood, adversarial or flow


ZOO: dict[str, Entry] = {
    "vae": Entry(
        "tolerate.models.pictures.vae:VAE",
        "variational autoencoder, one prior for all classes",
        "Kingma and Welling 2014, arXiv:1312.6114",
        "likelihood",
    ),
    "cvae": Entry(
        "tolerate.models.pictures.cvae:CVAE",
        "conditional variational autoencoder",
        "Kingma et al. 2014, arXiv:1406.5298; Sohn et al. 2015",
        "likelihood",
    ),
    "vae-mixture": Entry(
        "tolerate.models.pictures.vae_mixture:MixtureVAE",
        "autoencoder with a mixture fitted to the latents of each class",
        "Ghosh et al. 2020, arXiv:1903.12436",
        "likelihood",
    ),
    "gan": Entry(
        "tolerate.models.pictures.gan:GAN",
        "adversarial nets of fully connected layers",
        "Goodfellow et al. 2014, arXiv:1406.2661",
        "adversarial",
    ),
    "dcgan": Entry(
        "tolerate.models.pictures.dcgan:DCGAN",
        "convolutional adversarial nets",
        "Radford et al. 2016, arXiv:1511.06434",
        "adversarial",
    ),
    "wgan-gp": Entry(
        "tolerate.models.pictures.wgan_gp:WGANGP",
        "Wasserstein critic with gradient penalty",
        "Gulrajani et al. 2017, arXiv:1704.00028",
        "adversarial",
    ),
    "r3gan": Entry(
        "tolerate.models.pictures.r3gan:R3GAN",
        "relativistic pairing loss with R1 and R2",
        "Huang et al. 2024, arXiv:2501.05441",
        "adversarial",
    ),
    "flow": Entry(
        "tolerate.models.pictures.flow:Flow",
        "flow matching in pixel space",
        "Lipman et al. 2023, arXiv:2210.02747",
        "flow",
    ),
    "latent-flow": Entry(
        "tolerate.models.pictures.latent_flow:LatentFlow",
        "flow matching in the latent space of an autoencoder",
        "Lipman et al. 2023, arXiv:2210.02747; Rombach et al. 2022, arXiv:2112.10752",
        "flow",
    ),
}


def known(name: str) -> str:
    """The path of a model by its name in the zoo, or the path that was given, without importing it.

    >>> known("vae")
    'tolerate.models.pictures.vae:VAE'
    """
    if name not in ZOO and ":" not in name:
        raise OptionError(f'no model is called "{name}". {hint(name, ZOO)}')
    return ZOO[name].path if name in ZOO else name


def find(name: str) -> "type[Model]":
    """The class of a model of the zoo, or of any `package.module:attribute` that is a Model.

    >>> find("vae").__name__
    'VAE'
    """
    found = attribute(known(name))
    from tolerate.models.base import Model

    if not (isinstance(found, type) and issubclass(found, Model)):
        raise OptionError(f"{name} is {found!r}, expected a subclass of tolerate.models.base.Model")
    return found


def build(name: str, shape: "Shape", classes: int, *, seed: int = 0, **options: Any) -> "Model":
    """A fresh model of the zoo, its first weights set by the seed.

    shape: (channels, height, width) of a picture.

    >>> build("vae", (1, 8, 8), classes=10, latent=8).options["latent"]
    8
    """
    from tolerate.models.base import seeded

    kind = find(name)
    with seeded(seed):
        try:
            return kind(shape, classes, **options)
        except TypeError as error:
            given = ", ".join(f"{key}={value!r}" for key, value in options.items())
            raise OptionError(f"the model {name} cannot be built with {given}: {error}") from error
