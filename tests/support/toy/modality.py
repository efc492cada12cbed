"""Melodies: what they are called, and how one is saved, opened and shown."""

import numpy as np

from tolerate.modality import Content, Display, Modality, Noun, Saved

NOTES = ("c", "d", "e", "f", "g", "a", "b")
LENGTH = 8  # notes of a melody


def save(melody: Content) -> str:
    return " ".join(NOTES[note] for note in melody)


def read(saved: Saved) -> Content:
    text = saved.decode() if isinstance(saved, bytes) else saved
    return np.array([NOTES.index(note) for note in text.split()])


Melodies = Modality(
    name="tests.support.toy.modality:Melodies",
    noun=Noun("melody", "melodies", "旋律"),
    suffix=".notes",
    save=save,
    open=read,
    show=lambda melody, marks: Display(pieces=((save(melody), False),)),
)
