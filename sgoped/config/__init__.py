"""The settings and where each value came from; the only reader of the environment."""

from __future__ import annotations

from sgoped.config.process import ServiceManager, take_service_manager
from sgoped.config.settings import Settings, is_loopback, variable_name
from sgoped.config.sources import Layer, Loaded, load_settings, read_settings

__all__ = [
    "Layer",
    "Loaded",
    "ServiceManager",
    "Settings",
    "is_loopback",
    "load_settings",
    "read_settings",
    "take_service_manager",
    "variable_name",
]
