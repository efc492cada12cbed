"""Quality figures of a writer's plain texts."""

from collections.abc import Sequence
from pathlib import Path

from tolerate.base.personal_data import find_personal_data
from tolerate.checks.texts.metrics import bleu, chrf, distinct
from tolerate.jobs.texts.task import TextVerdict
from tolerate.refine.texts.near_duplicates import groups

MAX_TEXTS = 300  # of which the expensive figures are taken


def repetition(texts: Sequence[str]) -> dict[str, float]:
    """Shares of different word pairs, of texts that nearly repeat another, and of texts with personal data.

    >>> repetition(["the cat sat on the mat", "the cat sat on the mat"])["repeated"]
    0.5
    """
    return {
        "distinct": distinct(texts),
        "repeated": 1 - len(set(groups(texts).tolist())) / max(len(texts), 1),
        "private": sum(bool(find_personal_data(text)) for text in texts) / max(len(texts), 1),
    }


def slot_errors(verdicts: Sequence[TextVerdict]) -> dict[str, float]:
    """The share of requested facts that are missing, wrong or invented; nothing where no facts are requested."""
    slots = sum(verdict.slots for verdict in verdicts)
    return {"slot_errors": sum(verdict.slot_errors for verdict in verdicts) / slots} if slots else {}


def overlap_with_references(texts: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, float]:
    """BLEU and chrF against good answers; nothing where some request has none."""
    if not references or not all(references):
        return {}
    return {"bleu": bleu(texts, references), "chrf": chrf(texts[:MAX_TEXTS], references[:MAX_TEXTS])}


def held_out_fit(
    folder: Path, held_out: Sequence[tuple[str, str]], learned: Sequence[str]
) -> dict[str, float]:
    """Perplexity and bits a character of a trained writer on unseen answers, beside the n-gram model's bits.

    The n-gram model reads no prompts.
    """
    from tolerate.models.texts.kneser_ney import bits_per_character
    from tolerate.models.writers.writing import perplexity

    if not held_out:
        return {}
    tokens, bits = perplexity(folder, held_out)
    counts = bits_per_character(list(learned), [answer for _, answer in held_out])
    return {"perplexity": tokens, "bits": bits, "bits_kn": counts}
