"""A three-state circuit breaker, which Istio's API has no field for: the kind CircuitBreaker,

    apiVersion: mesh.asyncmesh.io/v1alpha1
    kind: CircuitBreaker
    metadata: {name: ratings}
    spec:
      host: ratings
      failureRate: 50         # percent of the requests of a window
      minimumRequests: 20     # no rate counts before so many; 20
      window: 10s             # 10s
      consecutiveFailures: 5  # or so many in a row
      slowCallRate: 80        # or so many percent that take at least …
      slowCallDuration: 1s
      openTime: 5s            # how long everything is refused; 5s
      halfOpenRequests: 1     # probes at a time, of which all have to pass; 1

or the annotation `mesh.asyncmesh.io/circuit-breaker` of a DestinationRule, whose value has the same fields as YAML (or
JSON), without the host. A resource of the kind counts before an annotation.

One of `failureRate`, `consecutiveFailures` and `slowCallRate` has to be there. It holds for every port and subset of the
host, each with a breaker of its own in each client's sidecar. To an Envoy it is metadata without a meaning.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field, ValidationError

from mesh.istio.model import Found, Message, explain, shown
from mesh.istio.scalars import Count, Duration, Host, wrong
from mesh.istio.yaml_nodes import YamlError, compose, place_of

ANNOTATION: Final = "mesh.asyncmesh.io/circuit-breaker"
METADATA: Final = "mesh.circuit_breaker"
_LONGEST: Final = 3600.0


def _share(value: float) -> float:
    if not 0 < value <= 100:
        raise wrong(f"must be a percentage above 0, at most 100, not {value:g}")
    return value


def _time(value: float) -> float:
    if not 0 < value <= _LONGEST:
        raise wrong(f"must be more than 0s and at most {_LONGEST:g}s")
    return value


Share = Annotated[float, AfterValidator(_share)]
Time = Annotated[Duration, AfterValidator(_time)]
Few = Annotated[Count, Field(ge=1, le=1_000_000)]


class CircuitBreaker(Message):
    """None is the sidecar's default, or a trigger that is not there."""

    at_least_one = (("failureRate", "consecutiveFailures", "slowCallRate"),)

    failure_rate: Share | None = None
    consecutive_failures: Few | None = None
    slow_call_rate: Share | None = None
    slow_call_duration: Time | None = None
    minimum_requests: Few | None = None
    window: Time | None = None
    open_time: Time | None = None
    half_open_requests: Few | None = None

    def rules(self) -> Iterator[Found]:
        if (self.slow_call_rate is None) is not (self.slow_call_duration is None):
            missing = "slowCallRate" if self.slow_call_rate is None else "slowCallDuration"
            yield Found((missing,), "slowCallRate and slowCallDuration belong together")


class CircuitBreakerSpec(CircuitBreaker):
    """The `spec` of the kind."""

    host: Host

    @property
    def settings(self) -> dict[str, Any]:
        """What the sidecars of clients are told."""
        return {name: value for name, value in self.model_dump(exclude={"host"}).items() if value is not None}


def summary(spec: Mapping[str, Any]) -> str:
    """The host, and what trips it."""
    words = (("failureRate", "%"), ("consecutiveFailures", " in a row"), ("slowCallRate", "% slow"))
    trips = [f"{spec[field]}{unit}" for field, unit in words if field in spec]
    return f"{spec.get('host', '')} opens at {' or '.join(trips)}"


def problems(kind: str, annotations: Mapping[str, str]) -> list[Found]:
    """What is wrong with the annotation of a resource; paths begin below `metadata`."""
    text = annotations.get(ANNOTATION)
    if text is None:
        return []
    place = ("annotations", ANNOTATION)
    if kind != "DestinationRule":
        return [Found(place, f"is for a DestinationRule, not for a {kind}")]
    try:
        CircuitBreaker.model_validate(_data(text))
    except ValidationError as error:
        return [Found((*place, *e["loc"]), explain(e)) for e in error.errors(include_url=False)]
    except YamlError as error:
        return [Found(place, f"line {error.line} of its value: {error.message}")]
    return []


def metadata(annotations: Mapping[str, str]) -> dict[str, Any]:
    """What the sidecars of clients are told, empty without the annotation (which has been checked)."""
    text = annotations.get(ANNOTATION)
    if text is None:
        return {}
    breaker = CircuitBreaker.model_validate(_data(text))
    return {name: value for name, value in breaker.model_dump().items() if value is not None}


def _data(text: str) -> Any:
    documents = [node.data for node in compose(text)]
    if len(documents) != 1 or not isinstance(documents[0], dict):
        raise YamlError(f"must be one mapping, not {shown(text)}", place_of(1))
    return documents[0]
