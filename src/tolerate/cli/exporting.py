"""A model trained here, for other programs."""

from pathlib import Path
from typing import Annotated

import typer


def export(
    model: Annotated[
        Path,
        typer.Argument(help="A folder that `tolerate train` wrote: a Transformer without extras. 模型文件夹"),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the Llama. 输出文件夹")],
) -> None:
    """Write a Transformer trained here as a Llama of the transformers library, for any server; same answers."""
    from tolerate.models.llama import to_llama

    to_llama(model, out)
    print(
        f"{out}: config.json, model.safetensors, tokenizer.json; next: tolerate generate hf:{out} --prompt TEXT"
    )
