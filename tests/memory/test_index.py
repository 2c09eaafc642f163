"""What an index keeps over its commits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import tantivy

from sgoped.memory import index as index_module
from sgoped.memory.index import SearchIndex

if TYPE_CHECKING:
    from pathlib import Path


def make_index(root: Path) -> SearchIndex:
    builder = tantivy.SchemaBuilder()
    builder.add_unsigned_field("pid", indexed=True, fast=True)
    return SearchIndex(root / "caches", "numbers", builder.build(), {})


def test_all_is_kept_when_it_is_opened_again_between_commits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_module, "MAX_COMMITS_OF_ONE_OPENING", 3)
    index = make_index(tmp_path)
    identity, held = index.identity, []
    for pid in range(10):
        index.add({"pid": pid})
        index.commit()
        held.append(index.searcher())
        assert not index.dirty
    index.delete("pid", 4)
    index.commit()
    assert index.pids() == set(range(10)) - {4}
    assert [searcher.num_docs for searcher in held] == list(range(1, 11))
    assert index.identity == identity
    index.close()
    assert make_index(tmp_path).pids() == set(range(10)) - {4}


def test_what_tantivy_remembers_of_files_is_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []

    def note(*arguments: object, **named: object) -> tantivy.Index:
        opened.append(arguments)
        return real(*arguments, **named)  # type: ignore[arg-type]

    real = tantivy.Index
    monkeypatch.setattr(index_module, "MAX_COMMITS_OF_ONE_OPENING", 5)
    monkeypatch.setattr(tantivy, "Index", note)
    index = make_index(tmp_path)
    for pid in range(12):
        index.add({"pid": pid})
        index.commit()
    assert len(opened) == 3
