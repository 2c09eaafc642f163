"""Asks a long question again with the words of its best passages (pseudo-relevance feedback).

A word is worth its share of the best passages, weighed by their scores (Lavrenko and Croft, 2001),
times its inverse document frequency, and is added to the question (Rocchio, 1971). On CISI it takes
nDCG@10 from 1.14 to 1.17 times plain BM25, stop words being left out on both ways. Known files are
found worse by it (functions 1.16 for 1.20, manual pages 1.03 for 1.05, when four words suffice for
it), since all of the best passages but one are wrong there. So short queries are answered as they
are: seven telling words or more describe a subject.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from sgoped.memory.relevance import SUBJECT_CONCEPTS, Concept, Plan, weigh_forms
from sgoped.memory.vocabulary import Vocabulary

PASSAGES = 10
MAX_PASSAGE_CHARS = 4000
NEW_WORDS = 10
NEW_WORDS_SHARE = 0.25
MIN_WORD_CHARS = 3
MAX_FORMS = 3
# The inverse document frequency is looked up for the most frequent candidates only.
MAX_CANDIDATES = 120


def wants_feedback(plan: Plan) -> bool:
    """Whether a plan describes a subject rather than a file."""
    return len(plan.concepts) >= SUBJECT_CONCEPTS and not plan.phrases


def expand(
    plan: Plan,
    passages: Sequence[tuple[float, str]],
    vocabulary: Vocabulary,
    cut: Callable[[str], list[str]],
) -> Plan:
    """``plan`` with the words that distinguish ``passages``, the scores and texts found for it."""
    shares: Counter[str] = Counter()
    forms: dict[str, Counter[str]] = {}
    for score, text in passages:
        counts = Counter(cut(text[:MAX_PASSAGE_CHARS]))
        telling = {word: count for word, count in counts.items() if _tells(word, vocabulary)}
        length = sum(telling.values())
        for word, count in telling.items():
            stem = vocabulary.stem(word)
            shares[stem] += score * count / length  # type: ignore[assignment]
            forms.setdefault(stem, Counter())[word] += count
    weights: Counter[str] = Counter()
    for stem, share in shares.most_common(MAX_CANDIDATES):
        frequency = vocabulary.frequency(forms[stem].most_common(1)[0][0])
        if frequency > 1:
            weights[stem] = share * vocabulary.weight(frequency)  # type: ignore[assignment]
    chosen = weights.most_common(NEW_WORDS)
    whole = sum(weight for _, weight in chosen)
    budget = NEW_WORDS_SHARE / (1 - NEW_WORDS_SHARE) * sum(c.weight for c in plan.concepts)
    return plan.expanded(
        Concept((), _forms(forms[stem], vocabulary), budget * weight / whole)
        for stem, weight in chosen
    )


def _tells(word: str, vocabulary: Vocabulary) -> bool:
    # Of CJK, words are pairs of characters.
    if word.isdigit() or (word.isascii() and len(word) < MIN_WORD_CHARS):
        return False
    return not vocabulary.says_little(word)


def _forms(found: Counter[str], vocabulary: Vocabulary) -> dict[str, float]:
    counts = {form: vocabulary.frequency(form) for form, _ in found.most_common(MAX_FORMS)}
    return weigh_forms(counts, vocabulary)
