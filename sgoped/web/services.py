"""The HTTP face of LLM services and their models; nothing here waits for a probe to answer."""

from __future__ import annotations

from aiohttp import web

from sgoped.web.endpoint import endpoint, read_body
from sgoped.web.keys import REGISTRY, SAVES
from sgoped.web.parameters import Text
from sgoped.web.render import model_json, service_json, services_json
from sgoped.web.replies import (
    DefaultModelReply,
    ModelHealthReply,
    ModelsReply,
    SavedServiceReply,
    Services,
    ServiceTestReply,
    SuccessReply,
)
from sgoped.web.schemas import (
    MAX_ID_CHARS,
    MAX_SERVICE_ID_CHARS,
    AddService,
    ChangeService,
    DefaultModel,
    ServiceConfig,
    TryService,
)
from sgoped.web.wire import reply

SERVICE_ID = Text(
    "service_id", "The service's id.", where="path", max_chars=MAX_SERVICE_ID_CHARS, required=True
)
MODEL_ID = Text("model_id", "The model's id.", where="path", max_chars=MAX_ID_CHARS, required=True)


@endpoint("services", returns=Services)
async def list_services(request: web.Request) -> web.StreamResponse:
    """List the configured services, by id."""
    return reply(services_json(request.app[REGISTRY]))


@endpoint("services", returns=ModelsReply)
async def list_models(request: web.Request) -> web.StreamResponse:
    """List all models of all services."""
    registry = request.app[REGISTRY]
    answer: ModelsReply = {
        "all_models": [model_json(model) for model in registry.models()],
        "default_model": registry.default_model(),
        "services": services_json(registry),
    }
    return reply(answer)


@endpoint("services", body=TryService, returns=ServiceTestReply)
async def test_service(request: web.Request) -> web.StreamResponse:
    """Try an endpoint without saving it.

    Always 200; spends no tokens. When the client leaves, the endpoint is left alone as well.
    """
    body = await read_body(request, TryService)
    outcome = await request.app[REGISTRY].test(body.service_type, body.config.given())
    if not outcome.ok:
        failure: ServiceTestReply = {"success": False, "available": False, "error": outcome.error}
        return reply(failure)
    answer: ServiceTestReply = {"success": True, "available": True, "models": list(outcome.models)}
    return reply(answer)


@endpoint("services", body=AddService, returns=SavedServiceReply, fails=(403, 500, 507))
async def add_service(request: web.Request) -> web.StreamResponse:
    """Save a service; one with the same id is replaced."""
    body = await read_body(request, AddService)
    return await _save(request, body.service_id, body.service_type, body.config)


@endpoint(
    "services",
    parameters=(SERVICE_ID,),
    body=ChangeService,
    returns=SavedServiceReply,
    fails=(403, 500, 507),
)
async def change_service(request: web.Request) -> web.StreamResponse:
    """Save a service under the id in the address."""
    service_id = SERVICE_ID.read(request)
    body = await read_body(request, ChangeService)
    return await _save(request, service_id, body.service_type, body.config)


async def _save(
    request: web.Request, service_id: str, kind: str, config: ServiceConfig
) -> web.Response:
    put = request.app[REGISTRY].put(service_id, kind, config.given())
    saved = await request.app[SAVES].run(put)
    answer: SavedServiceReply = {
        "success": True,
        "message": f"service {saved.name} is saved",
        "service": service_json(saved),
    }
    return reply(answer)


@endpoint(
    "services",
    parameters=(SERVICE_ID,),
    returns=SuccessReply,
    fails=(400, 403, 404, 500, 507),
)
async def remove_service(request: web.Request) -> web.StreamResponse:
    """Remove a service; its key is remembered for some minutes, in case it is added again."""
    service_id = SERVICE_ID.read(request)
    await request.app[SAVES].run(request.app[REGISTRY].remove(service_id))
    return _done(f"service {service_id} is removed")


@endpoint("services", body=DefaultModel, returns=DefaultModelReply, fails=(403, 404, 500, 507))
async def set_default_model(request: web.Request) -> web.StreamResponse:
    """Choose the model that is used where none is named."""
    body = await read_body(request, DefaultModel)
    registry = request.app[REGISTRY]
    await request.app[SAVES].run(registry.set_default(body.model))
    answer: DefaultModelReply = {
        "success": True,
        "message": "the default model is set",
        "default_model": registry.default_model(),
    }
    return reply(answer)


@endpoint("services", returns=ModelsReply)
async def refresh_models(request: web.Request) -> web.StreamResponse:
    """Ask all services anew which models they have, and list them."""
    await request.app[REGISTRY].refresh()
    return await list_models.handler(request)


@endpoint("services", parameters=(MODEL_ID,), returns=ModelHealthReply, fails=(404,))
async def model_health(request: web.Request) -> web.StreamResponse:
    """Tell how a model was when it was last looked at."""
    health = await request.app[REGISTRY].health(MODEL_ID.read(request))
    answer: ModelHealthReply = {
        "model": health.model,
        "service": health.service,
        "status": health.status,
        "available": health.available,
        "checked_at": health.checked_at,
    }
    return reply(answer)


def _done(message: str) -> web.Response:
    answer: SuccessReply = {"success": True, "message": message}
    return reply(answer)
