"""A model of melodies: how likely each note is in each place, for each scale."""

import torch
from torch import Tensor, nn

from tests.support.toy.modality import LENGTH, NOTES
from tolerate.base.json_types import JsonObject, JsonValue
from tolerate.models.base import Losses, Optimizers, Trainable
from tolerate.models.training.examples import Examples


class MelodyExamples(Examples):
    """Melodies [n, LENGTH] of notes, with the scale of each."""

    noun = "melodies"

    def check(self, model: Trainable) -> None:
        assert isinstance(model, NoteTable) and self.inputs.shape[1] == LENGTH

    def model_inputs(self, inputs: Tensor) -> Tensor:
        return inputs.long()


class NoteTable(Trainable):
    """Logits of the notes: [scales, LENGTH, notes]."""

    def __init__(self, scales: int, **options: object) -> None:
        super().__init__(**options)
        self.scales = scales
        self.logits = nn.Parameter(torch.zeros(scales, LENGTH, len(NOTES)))

    def dimensions(self) -> dict[str, JsonValue]:
        return {"scales": self.scales}

    @classmethod
    def stored_dimensions(cls, record: JsonObject) -> tuple[object, ...]:
        return (record["scales"],)

    def optimizers(self) -> Optimizers:
        return {"main": torch.optim.Adam(self.parameters(), lr=0.1)}

    def step(
        self,
        melodies: Tensor,
        scales: Tensor,
        /,
        optimizers: Optimizers,
        rng: torch.Generator,
        progress: float,
    ) -> Losses:
        logits = self.logits[scales].transpose(1, 2)  # [n, notes, LENGTH]
        loss = nn.functional.cross_entropy(logits, melodies)
        optimizers["main"].zero_grad()
        loss.backward()
        optimizers["main"].step()
        return {"loss": loss.detach()}

    @torch.no_grad()
    def sample(self, scales: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """A melody for each scale [n, LENGTH], and how likely its least likely note is [n]."""
        chances = self.logits[scales].softmax(-1)
        notes = torch.multinomial(chances.reshape(-1, len(NOTES)), 1, generator=rng).reshape(-1, LENGTH)
        return notes, chances.gather(2, notes[..., None])[..., 0].min(1).values
