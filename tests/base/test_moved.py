"""Names and imports of version 0.1 still lead to what they named."""

import importlib
import subprocess
import sys

import pytest

from tolerate.base.moved import ATTRIBUTES, MODULES, new_path
from tolerate.base.registry import attribute


@pytest.mark.parametrize("module", sorted(set(MODULES.values())))
def test_every_new_module_exists(module: str) -> None:
    assert importlib.util.find_spec(module) is not None


@pytest.mark.parametrize("path", sorted(ATTRIBUTES))
def test_every_renamed_attribute_exists(path: str) -> None:
    assert attribute(path) is not None


@pytest.mark.parametrize(
    "path",
    [
        "tolerate.jobs.digits:JOB",
        "tolerate.jobs.workshop:digits",
        "tolerate.jobs.texts:casenotes",
        "tolerate.models.vae:VAE",
        "tolerate.models.transformer:Transformer",
        "tolerate.checks.ink:fit_ink",
        "tolerate.models.encoder:Classifier",
    ],
)
def test_a_stored_name_of_an_old_module_still_loads(path: str) -> None:
    assert attribute(path) is attribute(new_path(path))


def test_an_old_import_warns_and_gives_the_new_object() -> None:
    code = (
        "import warnings; warnings.simplefilter('error')\n"
        "try:\n"
        "    from tolerate.gateway.notices import signed\n"
        "except DeprecationWarning as warning:\n"
        "    assert 'tolerate.service.watch.webhooks:signature_headers' in str(warning), warning\n"
        "else:\n"
        "    raise SystemExit('no warning')\n"
        "warnings.simplefilter('ignore')\n"
        "from tolerate.gateway.notices import signed\n"
        "from tolerate.service.watch import webhooks\n"
        "assert signed is webhooks.signature_headers\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_module_is_still_unknown() -> None:
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("tolerate.gateway_of_nothing")
