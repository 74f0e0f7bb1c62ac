"""The API's scalar types: what they are written as, what they become, and what is wrong with them otherwise."""

from __future__ import annotations

import ipaddress
import re
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, TypeVar

import re2
from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from mesh.istio.model import PROBLEM, shown

T = TypeVar("T")
E = TypeVar("E", bound=Enum)

# A list of the document. Only the list itself is lenient (it becomes a tuple), its items stay strict.
Rows = Annotated[tuple[T, ...], Field(strict=False)]
# One word of a fixed vocabulary.
Word = Annotated[E, Field(strict=False)]

_UNITS = {
    "ns": Decimal("1e-9"),
    "us": Decimal("1e-6"),
    "µs": Decimal("1e-6"),
    "μs": Decimal("1e-6"),
    "ms": Decimal("1e-3"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
}
_DURATION = re.compile(r"(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+", re.ASCII)
_DURATION_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_LONGEST_DURATION = Decimal(9_223_372_036)  # Envoy's: 2^63 nanoseconds, 292 years

MAX_REGEX_LENGTH = 1024  # Istio's, so that a file that loads here loads there
MAX_REGEX_PROGRAM = (
    32768  # what Istio lets Envoy compile (`re2.max_program_size.error_level`; Envoy's own limit is 100)
)

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", re.IGNORECASE | re.ASCII)
_WILDCARD_LABEL = re.compile(r"(\*|(\*-?)?[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)", re.IGNORECASE | re.ASCII)
_HEADER_NAME = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+", re.ASCII)
_LABEL_KEY = re.compile(
    r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?", re.ASCII
)
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?", re.ASCII)
_NOT_IN_HEADERS = re.compile("[\x00\n\r]")

EVERYWHERE = (".", "*", "~")  # the own namespace, all of them, none
PSEUDO_HEADERS = frozenset((":method", ":scheme", ":authority", ":path", ":status"))


def wrong(message: str) -> PydanticCustomError:
    """A problem of a value, its message final."""
    return PydanticCustomError(PROBLEM, "{text}", {"text": message})


def parse_duration(text: str) -> Decimal | None:
    """Seconds of a duration in Go's spelling (`1h10m`, `1.5s`, `100ms`), None when it is none."""
    if not _DURATION.fullmatch(text):
        return None
    return sum((Decimal(number) * _UNITS[unit] for number, unit in _DURATION_PART.findall(text)), Decimal(0))


def _duration(value: Any) -> float:
    seconds = parse_duration(value.removeprefix("+")) if isinstance(value, str) else None
    if seconds is None:
        if isinstance(value, str) and parse_duration(value.removeprefix("-")) is not None:
            raise wrong(f"must not be negative: {shown(value)}")
        hint = f', did you mean "{value}s"?' if _is_number(value) else ""
        raise wrong(f'must be a duration such as "1.5s", "100ms" or "1h10m", not {shown(value)}{hint}')
    if seconds < Decimal("0.001"):
        raise wrong(f"must be at least 1ms, not {shown(value)}; leave the field out for its default")
    if seconds % Decimal("0.001"):
        raise wrong(f"must be a whole number of milliseconds, not {shown(value)}")
    if seconds > _LONGEST_DURATION:
        raise wrong(f"is too long: {shown(value)}")
    return float(seconds)


def _cookie_age(value: Any) -> float:
    """A duration that may be nothing."""
    return 0.0 if isinstance(value, str) and parse_duration(value) == 0 else _duration(value)


def _is_number(value: Any) -> bool:
    if isinstance(value, str):
        return value.isascii() and value.replace(".", "", 1).isdigit()
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _integral(value: Any) -> Any:
    """JSON has one kind of number: 80.0 is the integer 80."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def upper(value: Any) -> Any:
    """Protocol names are written in either case."""
    return value.upper() if isinstance(value, str) else value


def _port(value: int) -> int:
    if not 1 <= value <= 65535:
        raise wrong(f"must be a port number from 1 to 65535, not {value}")
    return value


def _percent_value(value: float) -> float:
    if value != 0 and not 0.0001 <= value <= 100:
        raise wrong(f"must be 0, or from 0.0001 to 100, not {shown(value)}")
    return value


def _compiled(regex: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    return re2.compile(regex, options)


def regex_problem(regex: str) -> str:
    """Why a text is no regular expression that Istio accepts, or an empty string."""
    if not regex:
        return "must not be an empty regular expression"
    if len(regex) > MAX_REGEX_LENGTH:
        return f"is a regular expression of {len(regex)} characters; {MAX_REGEX_LENGTH} is the limit"
    try:
        size = _compiled(regex).programsize
    except re2.error as error:
        reason = error.args[0]
        text = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        return f"is not a regular expression that RE2 understands: {text}"
    if size > MAX_REGEX_PROGRAM:
        return f"is a regular expression that takes {size} steps; {MAX_REGEX_PROGRAM} is the limit"
    return ""


def rewrite_problem(regex: str, rewrite: str) -> str:
    """Why a text cannot replace what `regex` matches (`\\1` is its first group), or an empty string."""
    if not rewrite:
        return "must not be empty"
    groups = _compiled(regex).groups
    for escape in re.findall(r"\\(.?)", rewrite, re.DOTALL):
        if escape == "\\":
            continue
        if not (escape.isascii() and escape.isdigit()):
            return f"a backslash must be followed by the number of a group or a backslash: {shown(rewrite)}"
        if int(escape) > groups:
            return f"there is no group \\{escape}: the expression has {groups}"
    return ""


def _regex(value: str) -> str:
    if problem := regex_problem(value):
        raise wrong(problem)
    return value


def _domain_labels(domain: str) -> str:
    """What is wrong with a dotted name, or an empty string."""
    labels = domain.split(".")
    if labels[-1].isascii() and labels[-1].isdigit():
        return f'its last part "{labels[-1]}" cannot be a number'
    for index, label in enumerate(labels):
        if not label and index == len(labels) - 1 and index > 0:
            return ""  # the trailing dot of an absolute name
        if not _LABEL.fullmatch(label):
            return f'its part "{label}" is not a DNS label'
    return ""


def host_problem(host: str, wildcard: bool) -> str:
    """Why a text is no DNS name (with `wildcard`, the first label may be `*` or begin with it), or an empty string."""
    if not host:
        return "must not be empty"
    if len(host) > 255:
        return f"is a name of {len(host)} characters; 255 is the limit"
    if wildcard:
        first, dot, rest = host.partition(".")
        if not _WILDCARD_LABEL.fullmatch(first):
            reason = f'its part "{first}" is not a DNS label'
        else:
            reason = _domain_labels(rest) if dot else ""
    else:
        reason = _domain_labels(host)
    return f"is not a DNS name: {shown(host)}: {reason}" if reason else ""


def is_ip(text: str) -> bool:
    if ":" not in text and not text[:1].isdigit():  # a name, as nearly always
        return False
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def is_dns_label(text: str) -> bool:
    return bool(_LABEL.fullmatch(text))


def is_header_name(text: str) -> bool:
    return bool(_HEADER_NAME.fullmatch(text))


def _host(value: str) -> str:
    if problem := host_problem(value, wildcard=False):
        raise wrong(problem)
    return value


def _wildcard_host(value: str) -> str:
    if problem := host_problem(value, wildcard=True):
        raise wrong(problem)
    return value


def _wildcard_host_or_ip(value: str) -> str:
    return value if is_ip(value) else _wildcard_host(value)


def _dns_label(value: str) -> str:
    if not is_dns_label(value):
        raise wrong(f"must be a DNS label (letters, digits and -, at most 63), not {shown(value)}")
    return value


def _optional_dns_label(value: str) -> str:
    return _dns_label(value) if value else value


def _labels(value: dict[str, str]) -> dict[str, str]:
    for key, text in value.items():
        if not _LABEL_KEY.fullmatch(key):
            raise wrong(f"{shown(key)} is not a label name")
        if not _LABEL_VALUE.fullmatch(text):
            raise wrong(f"{shown(text)} is not a label value (letters, digits, -, _ and ., at most 63)")
    return value


def _http_status(value: int) -> int:
    if not 200 <= value <= 599:
        raise wrong(f"must be an HTTP status from 200 to 599, not {value}")
    return value


def _header_text(value: str) -> str:
    if _NOT_IN_HEADERS.search(value):
        raise wrong("must not contain line breaks or NUL characters")
    return value


def _export_to(value: tuple[str, ...]) -> tuple[str, ...]:
    for name in value:
        if name not in EVERYWHERE and not is_dns_label(name):
            raise wrong(f'must be ".", "*", "~" or a namespace, not {shown(name)}')
    if len(value) > 1 and ("*" in value or "~" in value):
        raise wrong(f'"*" and "~" say all there is to say: leave out the rest of {", ".join(value)}')
    if len(set(value)) < len(value):
        raise wrong(f"names a namespace twice: {', '.join(value)}")
    return value


def _subnet(value: str) -> str:
    try:
        ipaddress.ip_network(value, strict=False)
    except ValueError:
        raise wrong(f"must be an IP address or a CIDR block, not {shown(value)}") from None
    return value


Integer = Annotated[int, BeforeValidator(_integral)]
Int32 = Annotated[int, BeforeValidator(_integral), Field(ge=0, le=2**31 - 1)]
Count = Annotated[int, BeforeValidator(_integral), Field(ge=0, le=2**32 - 1)]
PortNumber = Annotated[int, BeforeValidator(_integral), AfterValidator(_port)]
Duration = Annotated[float, BeforeValidator(_duration)]
CookieAge = Annotated[float, BeforeValidator(_cookie_age)]
Percentage = Annotated[float, AfterValidator(_percent_value)]
WholePercent = Annotated[int, BeforeValidator(_integral), Field(ge=0, le=100)]
HttpStatus = Annotated[int, BeforeValidator(_integral), AfterValidator(_http_status)]
Regex = Annotated[str, AfterValidator(_regex)]
Host = Annotated[str, AfterValidator(_host)]
WildcardHost = Annotated[str, AfterValidator(_wildcard_host)]
WildcardHostOrIP = Annotated[str, AfterValidator(_wildcard_host_or_ip)]
DnsLabel = Annotated[str, AfterValidator(_dns_label)]
OptionalDnsLabel = Annotated[str, AfterValidator(_optional_dns_label)]
Labels = Annotated[dict[str, str], AfterValidator(_labels)]
HeaderText = Annotated[str, AfterValidator(_header_text)]
ExportTo = Annotated[tuple[str, ...], Field(strict=False), AfterValidator(_export_to)]
Subnet = Annotated[str, AfterValidator(_subnet)]
