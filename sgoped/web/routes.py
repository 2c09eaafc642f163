"""The whole surface on one screen, and how it is put on the router."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from aiohttp import hdrs, web

from sgoped.config import Settings
from sgoped.web import (
    actions,
    chat,
    conversations,
    enrichments,
    events,
    files,
    openapi,
    pages,
    runs,
    search,
    services,
    status,
    usage,
    websocket,
)
from sgoped.web.endpoint import EVENT_STREAM, Endpoint, max_body_bytes
from sgoped.web.expecting import leave_to_limits


class Route(NamedTuple):
    """An address and what it does."""

    method: str
    path: str
    endpoint: Endpoint


# fmt: off
ROUTES = (
    Route("GET",    "/",                               pages.home),
    Route("GET",    "/docs",                           pages.docs),
    Route("GET",    "/docs.js",                        pages.docs_script),
    Route("GET",    "/style.css",                      pages.style),
    Route("GET",    "/openapi.json",                   openapi.show_document),

    Route("GET",    "/health",                         status.health),
    Route("GET",    "/api/health",                     status.health),
    Route("GET",    "/api/stats",                      status.stats),
    Route("POST",   "/api/refresh",                    status.refresh),
    Route("GET",    "/api/events",                     events.follow_events),

    Route("GET",    "/api/services",                   services.list_services),
    Route("POST",   "/api/services/test",              services.test_service),
    Route("POST",   "/api/services/add",               services.add_service),
    Route("PUT",    "/api/services/{service_id}",      services.change_service),
    Route("DELETE", "/api/services/{service_id}",      services.remove_service),
    Route("GET",    "/api/models",                     services.list_models),
    Route("POST",   "/api/models/default",             services.set_default_model),
    Route("POST",   "/api/models/refresh",             services.refresh_models),
    Route("GET",    "/api/models/{model_id:.+}/health", services.model_health),

    Route("GET",    "/api/usage",                      usage.show_usage),

    Route("GET",    "/api/files",                      files.list_files),
    Route("GET",    "/api/files/content",              files.read_content),
    Route("POST",   "/api/files/content",              files.write_content),
    Route("DELETE", "/api/files/content",              files.delete_content),
    Route("POST",   "/api/files/rename",               files.rename_file),
    Route("GET",    "/api/files/versions",             files.list_versions),
    Route("POST",   "/api/files/restore",              files.restore_version),
    Route("GET",    "/api/search",                     search.search_contents),
    Route("GET",    "/api/index",                      search.list_index),

    Route("GET",    "/api/actions",                    actions.list_actions),
    Route("POST",   "/api/actions/execute",            actions.run_action),
    Route("POST",   "/api/generate-filename",          chat.generate_filename),

    Route("GET",    "/api/enrichments",                enrichments.list_enrichments),
    Route("DELETE", "/api/enrichments/{enrichment_id}", enrichments.cancel_enrichment),
    Route("POST",   "/api/enrichments/{enrichment_id}/retry", enrichments.retry_enrichment),

    Route("POST",   "/api/chat/stream",                chat.stream_chat),
    Route("POST",   "/api/chat/stop",                  chat.stop_chat),
    Route("GET",    "/api/chat/status",                chat.chat_status),

    Route("GET",    "/api/conversations",              conversations.list_conversations),
    Route("GET",    "/api/conversations/{conversation_id}", conversations.show_conversation),
    Route("PATCH",  "/api/conversations/{conversation_id}", conversations.rename_conversation),
    Route("DELETE", "/api/conversations/{conversation_id}", conversations.delete_conversation),
    Route("POST",   "/api/conversations/{conversation_id}/fork", conversations.fork_conversation),
    Route("POST",   "/api/conversations/{conversation_id}/export", conversations.export_conversation),

    Route("GET",    "/api/runs",                       runs.list_runs),
    Route("GET",    "/api/runs/{run_id}",              runs.show_run),
    Route("DELETE", "/api/runs/{run_id}",              runs.forget_run),
    Route("GET",    "/api/runs/{run_id}/events",       runs.follow_run),
    Route("POST",   "/api/runs/{run_id}/stop",         runs.stop_run),
    Route("GET",    "/ws/suggestions",                 websocket.suggestions_socket),  # a socket
)
# fmt: on


def add_routes(app: web.Application) -> None:
    """Put every route on the router; HEAD comes with GET except where the answer is a stream."""
    for method, path, operation in ROUTES:
        if method == hdrs.METH_GET:
            allow_head = operation.media_type != EVENT_STREAM and not path.startswith("/ws/")
            app.router.add_get(
                path, operation.handler, allow_head=allow_head, expect_handler=leave_to_limits
            )
        else:
            app.router.add_route(method, path, operation.handler, expect_handler=leave_to_limits)


def body_caps(settings: Settings) -> Mapping[object, int]:
    """Largest body in bytes by handler, where it differs from the usual one."""
    return {
        route.endpoint.handler: max_body_bytes(route.endpoint.size, settings)
        for route in ROUTES
        if route.endpoint.size != "small"
    }
