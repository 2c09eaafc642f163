"""The short-term memory: a watched folder, its index, and its files.

``open_memory`` opens it; ``Memory`` is all that the rest of the program sees of it, but for
``doctor``, which looks at its folder and its caches without opening it.
"""

from sgoped.memory.answers import Counts, SavedFile, TextFile
from sgoped.memory.document import ID_PREFIX, Document, Kind, document_id, is_plain, shown
from sgoped.memory.embedder import Embedder, EmbeddingStatus
from sgoped.memory.files import Files
from sgoped.memory.finder import PathHit
from sgoped.memory.index import IndexBrokenError
from sgoped.memory.indexer import IndexStatus
from sgoped.memory.inspection import (
    Catalogue,
    KnownFile,
    ReadIndex,
    foreign_directories,
    read_catalogue,
    read_index,
    read_through,
)
from sgoped.memory.kept import disagreement
from sgoped.memory.matcher import LETTERS
from sgoped.memory.meaning import open_meaning
from sgoped.memory.memory import Memory
from sgoped.memory.mounts import network_filesystem
from sgoped.memory.opening import open_memory
from sgoped.memory.saving import is_temporary
from sgoped.memory.scanner import Entry, scan_tree
from sgoped.memory.searcher import Passage
from sgoped.memory.states import FileState
from sgoped.memory.store import IndexClaim
from sgoped.memory.version_files import Version
from sgoped.memory.versions import Versions
from sgoped.memory.watcher import WatcherStatus

__all__ = [
    "ID_PREFIX",
    "LETTERS",
    "Catalogue",
    "Counts",
    "Document",
    "Embedder",
    "EmbeddingStatus",
    "Entry",
    "FileState",
    "Files",
    "IndexBrokenError",
    "IndexClaim",
    "IndexStatus",
    "Kind",
    "KnownFile",
    "Memory",
    "Passage",
    "PathHit",
    "ReadIndex",
    "SavedFile",
    "TextFile",
    "Version",
    "Versions",
    "WatcherStatus",
    "disagreement",
    "document_id",
    "foreign_directories",
    "is_plain",
    "is_temporary",
    "network_filesystem",
    "open_meaning",
    "open_memory",
    "read_catalogue",
    "read_index",
    "read_through",
    "scan_tree",
    "shown",
]
