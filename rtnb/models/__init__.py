"""Models, voices, prices, limits and servers as dated data."""

from rtnb.models.catalogue import (
    DEFAULT,
    VOICES,
    WARN_DAYS,
    Ending,
    Limits,
    Model,
    Models,
    Prices,
    Rate,
    get,
    known_on,
    limits,
    load,
    shutdown_notice,
    warn_shutdown,
)
from rtnb.models.providers import Provider, provider, provider_of, providers

__all__ = [
    "DEFAULT",
    "VOICES",
    "WARN_DAYS",
    "Ending",
    "Limits",
    "Model",
    "Models",
    "Prices",
    "Provider",
    "Rate",
    "get",
    "known_on",
    "limits",
    "load",
    "provider",
    "provider_of",
    "providers",
    "shutdown_notice",
    "warn_shutdown",
]
