"""What can be found: Istio's codes with their levels and names, so that its documentation applies, and some of our own.

https://istio.io/latest/docs/reference/config/analysis/
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

ISTIO: Final = "IST"
ISTIO_DOCUMENTATION: Final = "https://istio.io/latest/docs/reference/config/analysis"
OUR_DOCUMENTATION: Final = "docs/analyze.md"


class Level(IntEnum):
    INFO = 1
    WARNING = 2
    ERROR = 3

    @property
    def word(self) -> str:
        return self.name.capitalize()


@dataclass(frozen=True, slots=True)
class Code:
    """What kind of thing was found: `IST0101 (ReferencedResourceNotFound)`."""

    number: str
    name: str
    level: Level

    @property
    def url(self) -> str:
        """Where it is explained."""
        if self.number.startswith(ISTIO):
            return f"{ISTIO_DOCUMENTATION}/{self.number.lower()}/"
        return f"{OUR_DOCUMENTATION}#{self.number.lower()}"


DEPRECATED = Code("IST0002", "Deprecated", Level.WARNING)
REFERENCED_RESOURCE_NOT_FOUND = Code("IST0101", "ReferencedResourceNotFound", Level.ERROR)
MISSING_PROXY = Code("IST0103", "PodMissingProxy", Level.WARNING)
SCHEMA_ERROR = Code("IST0106", "SchemaValidationError", Level.ERROR)
MISPLACED_ANNOTATION = Code("IST0107", "MisplacedAnnotation", Level.WARNING)
UNKNOWN_ANNOTATION = Code("IST0108", "UnknownAnnotation", Level.WARNING)
CONFLICTING_HOSTS = Code("IST0109", "ConflictingMeshGatewayVirtualServiceHosts", Level.ERROR)
CONFLICTING_SIDECARS = Code("IST0110", "ConflictingSidecarWorkloadSelectors", Level.ERROR)
SIDECARS_FOR_ALL = Code("IST0111", "MultipleSidecarsWithoutWorkloadSelectors", Level.ERROR)
DESTINATION_PORT_REQUIRED = Code("IST0112", "VirtualServiceDestinationPortSelectorRequired", Level.ERROR)
SEVERAL_SERVICES = Code("IST0116", "DeploymentAssociatedToMultipleServices", Level.WARNING)
PORT_NAME = Code("IST0118", "PortNameIsNotUnderNamingConvention", Level.INFO)
INVALID_ANNOTATION = Code("IST0125", "InvalidAnnotation", Level.WARNING)
NO_MATCHING_WORKLOADS = Code("IST0127", "NoMatchingWorkloadsFound", Level.WARNING)
UNREACHABLE_RULE = Code("IST0130", "VirtualServiceUnreachableRule", Level.WARNING)
INEFFECTIVE_MATCH = Code("IST0131", "VirtualServiceIneffectiveMatch", Level.INFO)
HOST_NOT_IN_GATEWAY = Code("IST0132", "VirtualServiceHostNotFoundInGateway", Level.WARNING)
SCHEMA_WARNING = Code("IST0133", "SchemaWarning", Level.WARNING)
ADDRESSES_REQUIRED = Code("IST0134", "ServiceEntryAddressesRequired", Level.WARNING)
DEPRECATED_ANNOTATION = Code("IST0135", "DeprecatedAnnotation", Level.INFO)
CONFLICTING_PORTS = Code("IST0137", "DeploymentConflictingPorts", Level.WARNING)
LOCALHOST_LISTENER = Code("IST0143", "LocalhostListener", Level.ERROR)
APPLICATION_UID = Code("IST0144", "InvalidApplicationUID", Level.WARNING)
CONFLICTING_GATEWAYS = Code("IST0145", "ConflictingGateways", Level.ERROR)
EXTERNAL_NAME_PORT = Code("IST0150", "ExternalNameServiceTypeInvalidPortName", Level.WARNING)
RELATIVE_PATCH = Code("IST0151", "EnvoyFilterUsesRelativeOperation", Level.WARNING)
INVALID_PROVIDER = Code("IST0157", "InvalidTelemetryProvider", Level.WARNING)
PROXY_VERSIONS = Code("IST0158", "PodsIstioProxyImageMismatchInNamespace", Level.WARNING)
CONFLICTING_TELEMETRIES = Code("IST0159", "ConflictingTelemetryWorkloadSelectors", Level.ERROR)
TELEMETRIES_FOR_ALL = Code("IST0160", "MultipleTelemetriesWithoutWorkloadSelectors", Level.ERROR)
GATEWAY_PORT_NOT_ON_SERVICE = Code("IST0162", "GatewayPortNotDefinedOnService", Level.WARNING)
INEFFECTIVE_POLICY = Code("IST0167", "IneffectivePolicy", Level.WARNING)
SUBSET_SELECTS_NOTHING = Code("IST0173", "DestinationRuleSubsetNotSelectPods", Level.ERROR)
UNKNOWN_RULE_HOST = Code("IST0174", "UnknownDestinationRuleHost", Level.WARNING)
CONFLICTING_PROTOCOLS = Code("IST0177", "ConflictingServiceEntryProtocol", Level.WARNING)

# Our own.
SHORT_NAME_WITH_DOTS = Code("MESH0001", "HostNotCompleted", Level.WARNING)
NOT_LOOKED_UP = Code("MESH0003", "HostNotLookedUp", Level.WARNING)
NEVER_EJECTS = Code("MESH0004", "OutlierDetectionNeverEjects", Level.WARNING)
FAULT_HIDES_RETRIES = Code("MESH0005", "FaultHidesRetries", Level.WARNING)
CALLER_WITHOUT_SIDECAR = Code("MESH0006", "CallerWithoutSidecar", Level.WARNING)
SPLIT_BY_CONNECTION = Code("MESH0007", "SplitByConnection", Level.WARNING)
RETRIES_MULTIPLY = Code("MESH0008", "RetriesMultiply", Level.WARNING)
FAULT_WITHOUT_SHARE = Code("MESH0009", "FaultWithoutPercentage", Level.WARNING)
POLICY_NOT_USED = Code("MESH0011", "TrafficPolicyNotUsed", Level.WARNING)
SETTINGS_NOT_USED = Code("MESH0012", "MeshConfigNotUsed", Level.WARNING)
RULES_WITHOUT_REQUESTS = Code("MESH0010", "RequestRulesOnTcpPort", Level.WARNING)

CODES: Final[Mapping[str, Code]] = {each.number: each for each in list(globals().values()) if isinstance(each, Code)}
