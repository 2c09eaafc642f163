from __future__ import annotations

import pytest

from sgoped.errors import NotFound
from sgoped.llm.catalogue import default_offer, model_infos, resolve, usable_offer
from sgoped.llm.configured import ConfiguredService
from sgoped.llm.openai import OpenAIConfig
from tests.llm.doubles import SilentService


def service(
    service_id: str, *models: str, url: str = "http://localhost:1", status: str = "online"
) -> ConfiguredService:
    config = OpenAIConfig(base_url=url, models=models)
    return ConfiguredService(
        service_id, "openai", service_id, True, config, SilentService(), status, probed=True
    )


DOWN = "error: Connection failed"
CLOUD = "https://api.openai.com/v1"


def test_an_id_wins_over_an_equal_bare_name() -> None:
    services = [service("router", "openai/gpt"), service("openai", "gpt")]
    assert resolve(services, "openai/gpt").service.id == "openai"
    assert resolve(services, "router/openai/gpt").service.id == "router"
    assert resolve(services, "gpt").service.id == "openai"


def test_a_name_without_tag_means_latest() -> None:
    services = [service("home", "llama:latest", "llama:8b")]
    assert resolve(services, "llama").name == "llama:latest"
    assert resolve(services, "home/llama").name == "llama:latest"


@pytest.mark.parametrize("name", ["", "ghost", "home/ghost", "home/", "/a", "nobody/a", "a\x00\n"])
def test_an_unknown_name_is_not_found(name: str) -> None:
    with pytest.raises(NotFound) as raised:
        resolve([service("home", "a")], name)
    assert raised.value.code == "model_not_found"
    assert raised.value.message.isprintable()


def test_without_a_choice_the_first_usable_model_is_the_default() -> None:
    services = [service("down", "a", status=DOWN), service("up", "b")]
    default = default_offer(services, None)
    assert default is not None
    assert default.id == "up/b"


def test_a_choice_stays_the_default_while_it_is_down_and_another_stands_in() -> None:
    services = [service("down", "a", status=DOWN), service("up", "b")]
    default, used = default_offer(services, "down/a"), usable_offer(services, "down/a")
    assert default is not None
    assert used is not None
    assert (default.id, used.id) == ("down/a", "up/b")
    assert [info.id for info in model_infos(services, "down/a") if info.is_default] == ["down/a"]


def test_nothing_elsewhere_stands_in_for_a_local_choice() -> None:
    home = service("home", "a", status=DOWN)
    cloud = service("cloud", "b", url=CLOUD)
    assert usable_offer([cloud, home], "home/a") is None
    lan = service("lan", "c", url="http://192.168.1.5:1")
    used = usable_offer([cloud, home, lan], "home/a")
    assert used is not None
    assert used.id == "lan/c"
    down_cloud = service("cloud", "b", url=CLOUD, status=DOWN)
    used = usable_offer([down_cloud, lan], "cloud/b")
    assert used is not None
    assert used.id == "lan/c"


def test_another_model_of_the_same_service_takes_the_place_of_one_that_is_gone() -> None:
    services = [service("cloud", "b", url=CLOUD), service("home", "new")]
    default = default_offer(services, "home/gone")
    assert default is not None
    assert default.id == "home/new"
    assert default_offer([services[0], service("home")], "home/gone") is None


def test_nothing_usable_is_no_default() -> None:
    assert default_offer([], None) is None
    assert usable_offer([service("down", "a", status=DOWN)], None) is None
