"""The short-term memory: a watched folder, its index, and its files.

``open_memory`` opens it; ``Memory`` is all that the rest of the program sees of it.
"""

from sgoped.memory.document import ID_PREFIX, Document, Kind, document_id, is_plain, shown
from sgoped.memory.finder import PathHit
from sgoped.memory.indexer import IndexStatus
from sgoped.memory.matcher import LETTERS
from sgoped.memory.memory import Counts, Memory, SavedFile, TextFile
from sgoped.memory.opening import open_memory
from sgoped.memory.searcher import Passage
from sgoped.memory.states import FileState
from sgoped.memory.versions import Version
from sgoped.memory.watcher import WatcherStatus

__all__ = [
    "ID_PREFIX",
    "LETTERS",
    "Counts",
    "Document",
    "FileState",
    "IndexStatus",
    "Kind",
    "Memory",
    "Passage",
    "PathHit",
    "SavedFile",
    "TextFile",
    "Version",
    "WatcherStatus",
    "document_id",
    "is_plain",
    "open_memory",
    "shown",
]
