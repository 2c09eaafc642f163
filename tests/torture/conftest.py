"""Hypothesis at two sizes: a few inputs, always the same, or many, different each time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.scale import SCALES, Scale


@pytest.fixture(autouse=True)
def hypothesis_profile(scale: Scale) -> Iterator[None]:
    """What fails at the large size is printed with the seed that makes it again."""
    settings.register_profile(
        "torture",
        max_examples=scale.examples,
        derandomize=scale == SCALES["small"],
        database=None,
        deadline=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    before = settings.get_current_profile_name()
    settings.load_profile("torture")
    yield
    settings.load_profile(before)
