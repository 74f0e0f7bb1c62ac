"""Envoy's messages from what a document says of them, in protobuf's JSON."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from typing import Any, Final

from google.protobuf.json_format import ParseDict, ParseError

# What an EnvoyFilter applies to → the message that its value is.
MESSAGES: Final[Mapping[str, str]] = {
    "LISTENER": "envoy.config.listener.v3.Listener",
    "FILTER_CHAIN": "envoy.config.listener.v3.FilterChain",
    "LISTENER_FILTER": "envoy.config.listener.v3.ListenerFilter",
    "NETWORK_FILTER": "envoy.config.listener.v3.Filter",
    "HTTP_FILTER": "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter",
    "ROUTE_CONFIGURATION": "envoy.config.route.v3.RouteConfiguration",
    "VIRTUAL_HOST": "envoy.config.route.v3.VirtualHost",
    "HTTP_ROUTE": "envoy.config.route.v3.Route",
    "CLUSTER": "envoy.config.cluster.v3.Cluster",
}
_TYPE: Final = "@type"


def message_class(name: str) -> Any:
    """The class of a message of Envoy's; LookupError when there is none of this name."""
    package, _, short = name.rpartition(".")
    if not package.startswith("envoy."):
        raise LookupError(name)
    try:
        module = importlib.import_module(package)
    except ImportError:
        raise LookupError(name) from None
    for each in pkgutil.iter_modules(module.__path__):
        if each.name.endswith("_pb2"):
            found = getattr(importlib.import_module(f"{package}.{each.name}"), short, None)
            if found is not None:
                return found
    raise LookupError(name)


def merge(message: Any, value: Mapping[str, Any], *, replace_lists: bool = False) -> None:
    """Sets what `value` says, and adds to its lists or replaces them; ParseError for what is none of its fields."""
    _know_types(value)
    if replace_lists:
        _clear_lists(message, value)
    told = ParseDict(dict(value), type(message)())  # which would replace lists where it is put into one that is there
    message.MergeFrom(told)


def _clear_lists(message: Any, value: Mapping[str, Any]) -> None:
    """Empties the lists that `value` has, at any depth."""
    for field in message.DESCRIPTOR.fields:
        given = value.get(field.name, value.get(field.json_name))
        if isinstance(given, list):
            message.ClearField(field.name)
        elif isinstance(given, Mapping) and not field.is_repeated and message.HasField(field.name):
            _clear_lists(getattr(message, field.name), given)


def value_problem(apply_to: str, value: Mapping[str, Any]) -> str:
    """Why a value is none of what it is applied to, or an empty string."""
    try:
        merge(message_class(MESSAGES[apply_to])(), value)
    except LookupError as error:
        return f"{error.args[0]} is no message of Envoy's"
    except ParseError as error:
        return f"is no {MESSAGES[apply_to].rpartition('.')[2]} of Envoy's: {error}"
    return ""


def _know_types(value: Any) -> None:
    """Loads the messages that are named by their types, which the JSON reader cannot do."""
    if isinstance(value, Mapping):
        if isinstance(name := value.get(_TYPE), str):
            message_class(name.rpartition("/")[2])
        for each in value.values():
            _know_types(each)
    elif isinstance(value, list):
        for each in value:
            _know_types(each)
