"""The HTTP face of the memory folder: suggestions, contents, versions."""

from __future__ import annotations

from aiohttp import web

from sgoped.memory import SavedFile, Version, document_id, shown
from sgoped.web.endpoint import endpoint, read_body
from sgoped.web.keys import ENRICHER, MEMORY, MENUS, SAVES, SUGGESTIONS
from sgoped.web.parameters import (
    IF_MATCH,
    MAX_PATH_CHARS,
    MAX_QUERY_CHARS,
    Text,
    Whole,
    read_if_match,
)
from sgoped.web.render import suggestion_json
from sgoped.web.replies import (
    ContentReply,
    DeletedReply,
    FileSuggestion,
    SavedReply,
    VersionReply,
)
from sgoped.web.schemas import RenameFile, RestoreFile, SaveFile
from sgoped.web.wire import reply, reply_encoded

MAX_LISTED = 1000
DEFAULT_SUGGESTED = 10
DEFAULT_CHANGES = 20

Q = Text(
    "q",
    "What was typed after `@`. Without it: everything, newest use first. Hidden files are found "
    "only by a word that begins with a dot.",
    max_chars=MAX_QUERY_CHARS,
)
LIMIT = Whole("limit", "10 by default with `q`, 1000 without.", minimum=1, maximum=MAX_LISTED)
PATH = Text(
    "path",
    "Relative to the memory folder, /-separated; or a suggestion's id.",
    max_chars=MAX_PATH_CHARS,
    required=True,
)
VERSIONS_PATH = Text(
    "path",
    "Relative to the memory folder, /-separated; or a suggestion's id. Without it: all files.",
    max_chars=MAX_PATH_CHARS,
)
VERSIONS_LIMIT = Whole(
    "limit", "Without `path` 20 by default, else all.", minimum=1, maximum=MAX_LISTED
)
WRITE_FAILS = (400, 403, 404, 409, 413, 415, 500, 507)


@endpoint("files", parameters=(Q, LIMIT), returns=list[FileSuggestion])
async def list_files(request: web.Request) -> web.StreamResponse:
    """Suggest files, best first; or list them.

    Without `q` the list is bounded; `X-Total-Count` has the number of all files.
    """
    query = Q.read(request)
    suggestions = request.app[SUGGESTIONS]
    if query.strip():
        menu = await suggestions.menu(query, LIMIT.read(request, DEFAULT_SUGGESTED))
        return reply_encoded(request.app[MENUS].http(menu))
    listed, total = await suggestions.all_files(LIMIT.read(request, MAX_LISTED))
    return reply(
        [suggestion_json(suggestion) for suggestion in listed],
        headers={"X-Total-Count": str(total)},
    )


@endpoint(
    "files",
    parameters=(PATH,),
    returns=ContentReply,
    fails=(400, 403, 404, 413, 415, 500),
)
async def read_content(request: web.Request) -> web.StreamResponse:
    """Read a whole text file."""
    memory = request.app[MEMORY]
    file = await memory.read_text(PATH.read(request))
    answer: ContentReply = {
        "content": file.content,
        "path": shown(file.path),
        "size": file.size,
        "etag": file.etag,
        "encoding": file.encoding,
        "truncated": False,
    }
    return reply(answer, headers={"ETag": f'"{file.etag}"'})


@endpoint(
    "files",
    parameters=(IF_MATCH,),
    body=SaveFile,
    returns=SavedReply,
    fails=WRITE_FAILS,
    size="file",
)
async def write_content(request: web.Request) -> web.StreamResponse:
    """Write a whole text file; the answer comes when the bytes are on the disk.

    What is overwritten is kept as a version.
    """
    if_match = read_if_match(request)
    body = await read_body(request, SaveFile)
    save = request.app[MEMORY].write_text(body.path, body.content, if_match=if_match)
    return saved_reply(await request.app[SAVES].run(save))


@endpoint("files", parameters=(PATH, IF_MATCH), returns=DeletedReply, fails=WRITE_FAILS)
async def delete_content(request: web.Request) -> web.StreamResponse:
    """Delete a file; what it held is kept as a version."""
    if_match = read_if_match(request)
    path = PATH.read(request)
    gone = await request.app[SAVES].run(request.app[MEMORY].delete(path, if_match=if_match))
    answer: DeletedReply = {"success": True, "path": shown(gone.path), "version": gone.version}
    return reply(answer)


@endpoint("files", body=RenameFile, returns=SavedReply, fails=WRITE_FAILS)
async def rename_file(request: web.Request) -> web.StreamResponse:
    """Rename a file; nothing is ever overwritten."""
    body = await read_body(request, RenameFile)
    return saved_reply(await request.app[SAVES].run(_renamed(request.app, body)))


async def _renamed(app: web.Application, body: RenameFile) -> SavedFile:
    """What waits for a model goes along, even when the client leaves meanwhile."""
    saved = await app[MEMORY].rename(body.path, body.to)
    await app[ENRICHER].moved(body.path, saved.path)
    return saved


@endpoint(
    "files",
    parameters=(VERSIONS_PATH, VERSIONS_LIMIT),
    returns=list[VersionReply],
    fails=(400, 403, 404, 500),
)
async def list_versions(request: web.Request) -> web.StreamResponse:
    """List what a file once held, newest first; without `path` the last changes of all files.

    These are what was overwritten, deleted and renamed over this API: `/api/files/restore` undoes
    each, given its path and version.
    """
    memory, path = request.app[MEMORY], VERSIONS_PATH.read(request)
    limit = VERSIONS_LIMIT.read(request, 0)
    if path:
        versions = await memory.versions(path)
        return reply([_version(version) for version in versions[: limit or None]])
    newest = await memory.newest_versions(limit or DEFAULT_CHANGES)
    return reply([_change(version) for version in newest])


def _version(version: Version) -> VersionReply:
    return {
        "version": version.version,
        "path": shown(version.path),
        "size": version.size,
        "saved_at": version.saved_at,
        "reason": version.reason,
    }


def _change(version: Version) -> VersionReply:
    answer = _version(version)
    answer["id"] = document_id(version.path)
    if version.former_path:
        answer["former_path"] = shown(version.former_path)
    return answer


@endpoint("files", body=RestoreFile, returns=SavedReply, fails=WRITE_FAILS)
async def restore_version(request: web.Request) -> web.StreamResponse:
    """Bring a version back, or undo a rename; what is there now becomes a version itself."""
    body = await read_body(request, RestoreFile)
    restore = request.app[MEMORY].restore(body.path, body.version)
    return saved_reply(await request.app[SAVES].run(restore))


def saved_reply(saved: SavedFile) -> web.Response:
    """Answer with what a write did."""
    answer: SavedReply = {
        "success": True,
        "path": shown(saved.path),
        "size": saved.size,
        "etag": saved.etag,
        "created": saved.created,
        "version": saved.version,
    }
    return reply(answer, headers={"ETag": f'"{saved.etag}"'})
