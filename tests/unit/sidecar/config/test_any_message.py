"""Whatever a control plane sends: the compilers return, or say what is wrong; they never fail in another way."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from envoy.config.bootstrap.v3.bootstrap_pb2 import Bootstrap
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.errors import ConfigError
from sidecar.bootstrap import compile_bootstrap
from sidecar.config.clusters import compile_cluster
from sidecar.config.document import Document
from sidecar.config.endpoints import compile_assignment
from sidecar.config.listeners import compile_listener
from sidecar.config.routes import compile_route_config
from sidecar.config.table import documents, supported
from sidecar.config.types import import_type

DEPTH = 7
WORDS = ("", "a", "*", "*.a", "/a", "(", "\\1", "%REQ(a)%", "%", "127.0.0.1", "::1", "::ffff:1", "5xx,reset", ":path")
NUMBERS = (0, 1, 2, 80, 100, 101, 2**31 - 1)


def known_types() -> list[str]:
    """Types that appear in an Any somewhere in what is supported."""
    return [name for name in supported() if name.startswith("envoy.extensions.")] + ["google.protobuf.Struct"]


TYPES = known_types()


def fill(message: Any, rng: random.Random, depth: int) -> None:
    """Sets some fields at random, one of each oneof at most."""
    if message.DESCRIPTOR.full_name == "google.protobuf.Any":
        name = rng.choice(TYPES)
        assert import_type(name)
        inner = GetMessageClass(message.DESCRIPTOR.file.pool.FindMessageTypeByName(name))()
        fill(inner, rng, depth - 1)
        message.Pack(inner)
        return
    for field in message.DESCRIPTOR.fields:
        oneof = field.containing_oneof
        if oneof is not None and message.WhichOneof(oneof.name):
            continue
        if rng.random() < 0.35:
            set_field(message, field, rng, depth)


def set_field(message: Any, field: FieldDescriptor, rng: random.Random, depth: int) -> None:
    kind = field.message_type
    if kind is not None:
        if depth <= 0:
            return
        if kind.GetOptions().map_entry:
            if kind.fields_by_name["value"].message_type is not None:
                fill(getattr(message, field.name)[rng.choice(WORDS)], rng, depth - 1)
        elif field.is_repeated:
            for _ in range(rng.randint(1, 2)):
                fill(getattr(message, field.name).add(), rng, depth - 1)
        else:
            child: Message = getattr(message, field.name)
            child.SetInParent()
            fill(child, rng, depth - 1)
    elif field.is_repeated:
        getattr(message, field.name).append(scalar(field, rng))
    else:
        setattr(message, field.name, scalar(field, rng))


def scalar(field: FieldDescriptor, rng: random.Random) -> Any:
    if field.enum_type is not None:
        return rng.choice(list(field.enum_type.values_by_number))
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_STRING:
            word = rng.choice(WORDS)
            return word.encode() if field.type == FieldDescriptor.TYPE_BYTES else word
        case FieldDescriptor.CPPTYPE_BOOL:
            return rng.random() < 0.5
        case FieldDescriptor.CPPTYPE_DOUBLE | FieldDescriptor.CPPTYPE_FLOAT:
            return rng.choice((0.0, 0.5, 50.0, 101.0, -1.0))
        case _:
            return rng.choice(NUMBERS)


COMPILERS: list[tuple[Any, Callable[[Any], Any]]] = [
    (Cluster, compile_cluster),
    (ClusterLoadAssignment, compile_assignment),
    (Listener, compile_listener),
    (RouteConfiguration, compile_route_config),
    (Bootstrap, compile_bootstrap),
]


@pytest.mark.parametrize(("kind", "compile_message"), COMPILERS, ids=lambda value: getattr(value, "__name__", ""))
@given(seed=st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_any_message(kind: Any, compile_message: Callable[[Any], Any], seed: int) -> None:
    message = kind()
    fill(message, random.Random(seed), DEPTH)
    try:
        compile_message(message)
    except ConfigError as error:
        assert error.problems
        assert all(problem.message for problem in error.problems)


@given(seed=st.integers(0, 2**32), text=st.sampled_from(documents()))
@settings(max_examples=100, deadline=None)
def test_a_good_bootstrap_with_something_cleared(seed: int, text: str) -> None:
    """Nothing is taken for granted: without any one of its fields it still compiles, or says what is missing."""
    message = Document(text, "f").parse(Bootstrap())
    clear_something(message, random.Random(seed))
    try:
        compile_bootstrap(message)
    except ConfigError as error:
        assert all(problem.message for problem in error.problems)


def clear_something(message: Any, rng: random.Random) -> None:
    """Walks down at random and clears one field; an Any is opened and packed again."""
    if message.DESCRIPTOR.full_name == "google.protobuf.Any":
        inner = GetMessageClass(message.DESCRIPTOR.file.pool.FindMessageTypeByName(message.TypeName()))()
        message.Unpack(inner)
        clear_something(inner, rng)
        message.Pack(inner)
        return
    fields = [field for field, _ in message.ListFields()]
    if not fields:
        return
    field = rng.choice(fields)
    values = getattr(message, field.name)
    if field.message_type is None or rng.random() < 0.2:
        message.ClearField(field.name)
    elif field.message_type.GetOptions().map_entry:
        if field.message_type.fields_by_name["value"].message_type is not None:
            clear_something(values[rng.choice(sorted(values))], rng)
    elif field.is_repeated:
        clear_something(rng.choice(list(values)), rng)
    else:
        clear_something(values, rng)
