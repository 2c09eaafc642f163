"""What makes a passage answer a query: the weights, and the tantivy query they become.

On top of BM25 (Robertson and Zaragoza, 2009), each measured as nDCG@10 over plain BM25 of the same
words, on CISI, on functions asked for by their doc strings, on manual pages asked for by their
one-line descriptions, and on the pages those refer to; nothing was fitted to one of them:

- Stop words are left out, forms of one word stand for each other, and the form that was typed
  counts most: 1.09, 1.20, 1.02, 1.04. A word's forms are one concept whose best form scores, with
  the frequency of all together, after the synonyms of Pirkola (1998); adding their scores up finds
  known files 15 % worse. A word typed twice counts twice, for both sides.
- Words typed side by side that stand near each other (sequential dependence, Metzler and Croft,
  2005): 1.08, 1.21, 1.06, 1.08. Only for short queries, because of the first figure.
- Long questions are asked again with the words of the best passages; see ``feedback``.
- Words of the file's path count a little.

All together, with passages against whole files: 1.15, 1.15, 1.06, 1.08.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import tantivy
from tantivy import Occur, Query

from sgoped.memory.content_query import ContentQuery
from sgoped.memory.document import shown
from sgoped.memory.vocabulary import Vocabulary
from sgoped.memory.words import fold

MAX_WORDS = 64
MAX_PHRASE_WORDS = 32
MAX_REPEATS = 5
# Fewer forms of each word where there are many words.
MANY_CONCEPTS = 16
FORMS_OF_MANY = 4
EXACT_BONUS = 0.4
OTHER_FORMS_SHARE = 0.1
TITLE_BOOST = 0.3
NEAR_BOOST = 0.3
NEAR_SLOP = 3
# From here on a query describes a subject rather than a file.
SUBJECT_CONCEPTS = 7
BEGUN_BOOST = 0.6
MAX_BEGUN = 8

Cut = Callable[[str], list[str]]


@dataclass(frozen=True, slots=True)
class Concept:
    """Something asked for, in all its forms.

    Attributes:
        typed: The words of the query that mean it.
        forms: Boost by form; ``typed`` are among them.
        weight: How much it counts.
    """

    typed: tuple[str, ...]
    forms: dict[str, float]
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Plan:
    """A query in the words of the index.

    Attributes:
        concepts: What was typed freely; any will do.
        near: Pairs of words that count more when they stand near each other.
        phrases: Word sequences that must occur.
        excluded: Word sequences that must not occur in the file.
        suffixes: What the name must end with, as indexed: what follows its last dot.
        quoted: Phrases within a long question: they count, but are not demanded.
        more: Concepts that only change the order of what is found.
    """

    concepts: tuple[Concept, ...] = ()
    near: tuple[tuple[str, str], ...] = ()
    phrases: tuple[tuple[str, ...], ...] = ()
    excluded: tuple[tuple[str, ...], ...] = ()
    suffixes: tuple[str, ...] = ()
    quoted: tuple[tuple[str, ...], ...] = ()
    more: tuple[Concept, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether nothing is asked for; exclusions and filters alone find nothing."""
        return not (self.concepts or self.phrases)

    def marked(self) -> dict[str, str]:
        """Every form to mark in what is shown, and the concept it stands for."""
        return {form: concept.typed[0] for concept in self.concepts for form in concept.forms}

    def expanded(self, more: Iterable[Concept]) -> Plan:
        """The same question, in more words."""
        return replace(self, more=tuple(more))


def make_plan(query: ContentQuery, vocabulary: Vocabulary, cut: Cut) -> Plan:
    """Weigh the parts of a query; ``cut`` gives the words of a text as the index knows them."""
    telling = _telling(query.words, vocabulary, cut)
    concepts = _concepts(telling, vocabulary)
    phrases = _sequences(query.phrases, cut)
    if phrases and len(concepts) >= SUBJECT_CONCEPTS:
        # Prose quotes words too; a demand has few words beside it.
        prose = replace(query, words=" ".join((query.words, *query.phrases)), phrases=())
        return replace(make_plan(prose, vocabulary, cut), quoted=phrases)
    short = len(concepts) < SUBJECT_CONCEPTS
    pairs = pairwise(telling) if short else ()
    return Plan(
        concepts,
        tuple(dict.fromkeys(pair for pair in pairs if pair[0] != pair[1])),
        phrases,
        _sequences(query.excluded, cut),
        tuple(dict.fromkeys(suffix_of(suffix) for suffix in query.suffixes)),
    )


def suffix_of(path: str) -> str:
    """What follows the last dot of a path, as it can be asked for."""
    return fold(shown(path[path.rfind(".") + 1 :]))


def _telling(text: str, vocabulary: Vocabulary, cut: Cut) -> list[str]:
    words = cut(text)[:MAX_WORDS]
    return [word for word in words if not vocabulary.says_little(word)] or words


def _sequences(texts: Iterable[str], cut: Cut) -> tuple[tuple[str, ...], ...]:
    sequences = (tuple(cut(text)[:MAX_PHRASE_WORDS]) for text in texts)
    return tuple(dict.fromkeys(sequence for sequence in sequences if sequence))


def _concepts(words: Sequence[str], vocabulary: Vocabulary) -> tuple[Concept, ...]:
    groups: dict[str, Counter[str]] = {}
    for word in words:
        groups.setdefault(vocabulary.stem(word), Counter())[word] += 1
    most = FORMS_OF_MANY if len(groups) > MANY_CONCEPTS else None
    return tuple(_concept(group, vocabulary, most) for group in groups.values())


def _concept(group: Counter[str], vocabulary: Vocabulary, most: int | None) -> Concept:
    counts: dict[str, int] = {}
    for word in group:
        counts |= dict(list(vocabulary.forms(word).items())[:most])
    forms = weigh_forms(counts, vocabulary)
    return Concept(tuple(group), forms, min(group.total(), MAX_REPEATS))


def weigh_forms(counts: dict[str, int], vocabulary: Vocabulary) -> dict[str, float]:
    """Boosts that give each form the inverse document frequency of all together."""
    together = vocabulary.weight(sum(counts.values()))
    return {form: together / vocabulary.weight(count) for form, count in counts.items()}


def make_completing_plan(words: Sequence[str], vocabulary: Vocabulary) -> Plan:
    """Plan for words of which the last may have been begun only."""
    concepts = [Concept((word,), {word: 1.0}) for word in dict.fromkeys(words[:-1])]
    for last in words[-1:]:
        begun = vocabulary.begun(last, MAX_BEGUN)
        concepts.append(Concept((last,), dict.fromkeys(begun, BEGUN_BOOST) | {last: 1.0}))
    return Plan(tuple(concepts))


class QueryBuilder:
    """Writes plans as tantivy queries."""

    def __init__(self, schema: tantivy.Schema) -> None:
        self._schema = schema

    def build(self, plan: Plan, pids: Sequence[int] | None = None, *, every: bool = False) -> Query:
        """The query for a plan that is not empty.

        Args:
            plan: What is asked for.
            pids: Only these files.
            every: Whether each of the concepts must occur.
        """
        must = [self.sequence(phrase) for phrase in plan.phrases]
        near = [
            Query.boost_query(
                Query.phrase_query(self._schema, "body", list(pair), NEAR_SLOP), NEAR_BOOST
            )
            for pair in plan.near
        ]
        near += [self.sequence(words) for words in plan.quoted if len(words) > 1]
        concepts = [self._concept(concept) for concept in plan.concepts]
        should = near + [self._concept(concept) for concept in plan.more]
        if every:
            must += concepts
        elif must:
            should += concepts
        elif plan.suffixes or pids is not None:
            # Beside a condition the optional would find everything that fulfils it.
            must = [_any_of(concepts + should)]
            should = []
        else:
            should += concepts
        if plan.suffixes:
            must.append(_unscored(self._suffix(plan.suffixes)))
        if pids is not None:
            must.append(_unscored(Query.term_set_query(self._schema, "pid", list(pids))))
        return Query.boolean_query(
            [
                *((Occur.Must, query) for query in must),
                *((Occur.Should, query) for query in should),
                *((Occur.MustNot, self.sequence(words)) for words in plan.excluded),
            ]
        )

    def holding(self, sequences: Sequence[Sequence[str]], pids: Sequence[int]) -> Query:
        """The query for passages of these files that hold any of the word sequences."""
        among = Query.term_set_query(self._schema, "pid", list(pids))
        holding = _any_of([self.sequence(words) for words in sequences])
        return Query.boolean_query([(Occur.Must, among), (Occur.Must, holding)])

    def sequence(self, words: Sequence[str]) -> Query:
        """The query for words in this order."""
        if len(words) == 1:
            return self._term("body", words[0])
        return Query.phrase_query(self._schema, "body", list(words))

    def _suffix(self, suffixes: Sequence[str]) -> Query:
        return _any_of([self._term("suffix", suffix) for suffix in suffixes])

    def _concept(self, concept: Concept) -> Query:
        weight = concept.weight
        bonus = EXACT_BONUS * weight
        titles = [
            (Occur.Should, self._boosted("title", word, TITLE_BOOST * weight))
            for word in concept.typed
        ]
        if len(concept.forms) == 1:
            [word] = concept.forms
            best = self._boosted("body", word, weight + (bonus if concept.typed else 0))
            return Query.boolean_query([(Occur.Should, best), *titles]) if titles else best
        forms = [
            self._boosted("body", form, weight * boost) for form, boost in concept.forms.items()
        ]
        best = Query.disjunction_max_query(forms, OTHER_FORMS_SHARE)
        exact = [(Occur.Should, self._boosted("body", word, bonus)) for word in concept.typed]
        return Query.boolean_query([(Occur.Should, best), *exact, *titles]) if exact else best

    def _boosted(self, field: str, text: str, boost: float) -> Query:
        return Query.boost_query(self._term(field, text), boost)

    def _term(self, field: str, text: str) -> Query:
        return Query.term_query(self._schema, field, text, "freq")


def _any_of(queries: Sequence[Query]) -> Query:
    return (
        queries[0]
        if len(queries) == 1
        else Query.boolean_query([(Occur.Should, query) for query in queries])
    )


def _unscored(query: Query) -> Query:
    return Query.const_score_query(query, 0.0)
