"""A model trained here, for other programs."""

from pathlib import Path
from typing import Annotated

import typer


def export(
    model: Annotated[
        Path,
        typer.Argument(
            help="A folder that `tolerate train` wrote: a tuned hf: model, or a Transformer without extras. 模型文件夹"
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the model. 输出文件夹")],
) -> None:
    """Write a model trained or tuned here in the form of the transformers library, for any server; same answers."""
    from tolerate.llm.model_names import is_pretrained_folder

    if is_pretrained_folder(model):
        from tolerate.models.writers.pretrained import export_merged

        export_merged(model, out)
    else:
        from tolerate.models.pretrained.llama import to_llama

        to_llama(model, out)
    print(
        f"{out}: config.json, model.safetensors, tokenizer.json; next: tolerate generate hf:{out} --prompt TEXT"
    )
