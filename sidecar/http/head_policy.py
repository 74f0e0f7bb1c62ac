"""The policy on request heads: brings one into the shape that routing works on, or says what to answer instead.

Authority, path, forwarding headers, request id: what Envoy does in its codec and in `ConnectionManagerUtility`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from sidecar.codec import fallback_parser
from sidecar.codec.target import CODEC_ERROR, INVALID_URL, names_a_host, split_absolute
from sidecar.config.model import Direction, Hcm
from sidecar.filters import Reply
from sidecar.http import head_rules
from sidecar.http.forwarded import Forwarded
from sidecar.http.head import HTTP2
from sidecar.http.headers import drop_nominated
from sidecar.http.response_flags import Flag

if TYPE_CHECKING:
    from sidecar.http.exchange import Exchange
    from sidecar.telemetry.stats import HttpStats


class HeadPolicy:
    """The policy of one connection manager; `stats` are the connection manager's own. It is asked once for each request."""

    def __init__(
        self,
        config: Hcm,
        direction: Direction,
        stats: HttpStats,
        *,
        node_id: str,
        service_cluster: str,
        decode_peer: Callable[[bytes], Any],
    ) -> None:
        self.config = config
        self.stats = stats
        self.forwarded = Forwarded(config)
        self.identify = head_rules.identification(config, self.forwarded.apply, node_id, service_cluster)
        self.host_rule = head_rules.host_rule(config)
        self.path_rule = head_rules.path_rule(config, stats)
        self.outbound = direction is Direction.OUTBOUND
        self.inbound = direction is Direction.INBOUND
        self.decode_peer = decode_peer

    def admit(self, exchange: Exchange) -> Reply | None:
        """Brings the head into shape for routing; a Reply when it is refused. `exchange.path` holds the raw target."""
        refusal = self._check_codec(exchange)
        if refusal is not None:
            return self._refused_by_codec(exchange, refusal)
        config, hop_headers = self.config, exchange.hop_headers
        if exchange.path[:1] != b"/" and exchange.method != b"CONNECT":
            self.stats.downstream_rq_non_relative_path.value += 1
            return Reply(404, b"", "absolute_path_rejected")
        if b"host" not in hop_headers and not exchange.authority:
            if exchange.protocol == "HTTP/1.1" or not config.default_host:
                return self._bad_request("missing_host_header")
            exchange.authority = config.default_host.encode()
        if exchange.method == b"QUERY" and not exchange.indexed_headers.get(b"content-type"):
            return self._bad_request("query_missing_content_type")
        if ord("#") in exchange.path:  # (asked for as bytes, it would cost an exception within CPython)
            self.stats.downstream_rq_failed_path_normalization.value += 1
            return self._bad_request(head_rules.FAILED)
        if self.path_rule is not None and (answer := self.path_rule(exchange)) is not None:
            return answer
        if self.host_rule is not None:
            self.host_rule(exchange)
        if len(hop_headers) > 1:  # more than the host
            self._hop_by_hop(exchange, hop_headers)
        if self.identify is None:
            self.forwarded.apply(exchange)
        else:
            self.identify(exchange)
        return None

    def _bad_request(self, detail: str) -> Reply:
        return Reply(400, b"", detail, headers=() if self.config.keeps_after_bad_request else _CLOSE)

    def refuse_head(self, exchange: Exchange) -> Reply | None:
        """A Reply to what is not HTTP as Envoy's codec knows it."""
        refusal = self._check_codec(exchange)
        return None if refusal is None else self._refused_by_codec(exchange, refusal)

    def _refused_by_codec(self, exchange: Exchange, refusal: Reply) -> Reply:
        """Envoy's codec refuses before there is a request: the log knows none of it."""
        self.stats.downstream_cx_protocol_error.value += 1
        exchange.method = exchange.path = exchange.authority = b""
        exchange.hop_headers = {}
        if exchange.protocol != HTTP2:
            exchange.protocol = "HTTP/1.1"
        return refusal

    def _check_codec(self, exchange: Exchange) -> Reply | None:
        """What Envoy's codec refuses: it splits the target and looks at the fields."""
        config, hop_headers = self.config, exchange.hop_headers
        if exchange.protocol != "HTTP/1.1":
            if exchange.protocol == HTTP2:
                return self._check_http2(exchange)
            if not config.accept_http_10:
                return _refusal("low_version")
        if len(exchange.headers) + len(hop_headers) > config.max_headers_count:
            return _refusal("http1.too_many_headers")
        if config.underscores != "ALLOW" and (detail := self._underscores(exchange)):
            return _refusal(detail)
        target, method = exchange.path, exchange.method
        if len(method) == 8 and method == b"M-SEARCH":  # llhttp knows it, Envoy knows it as MSEARCH
            return _refusal(CODEC_ERROR)
        if target[:1] == b"/" and method != b"CONNECT":
            exchange.authority = hop_headers.get(b"host", b"")
        else:
            detail = split_target(exchange, target)
            if detail:
                return _refusal(detail)
        if exchange.authority.translate(None, _AUTHORITY_BYTES):  # what is left is not allowed
            return _refusal("http.invalid_authority")
        return None

    def _check_http2(self, exchange: Exchange) -> Reply | None:
        """The same for HTTP/2, whose codec has seen to the fields' own form."""
        hop_headers = exchange.hop_headers
        if exchange.method == b"CONNECT":
            exchange.authority, exchange.path = exchange.path, b""
        else:
            exchange.authority = hop_headers.get(b"host", b"")
        if exchange.authority.translate(None, _AUTHORITY_BYTES):
            return Reply(400, b"", "http.invalid_authority", int(Flag.DPE))
        return None

    def _underscores(self, exchange: Exchange) -> str:
        if all(b"_" not in name for name, _ in exchange.headers):
            return ""
        if self.config.underscores == "REJECT_REQUEST":
            return "http1.unexpected_underscore"
        exchange.headers[:] = [header for header in exchange.headers if b"_" not in header[0]]
        return ""

    def _hop_by_hop(self, exchange: Exchange, hop_headers: dict[bytes, bytes]) -> None:
        """What is for this hop only, and what of it is not."""
        headers = exchange.headers
        if b"connection" in hop_headers:
            drop_nominated(headers, hop_headers[b"connection"])
        if b"te" in hop_headers and b"trailers" in [coding.strip() for coding in hop_headers[b"te"].split(b",")]:
            headers.append((b"te", b"trailers"))
        if b"expect" in hop_headers and (
            self.config.proxies_continue or hop_headers[b"expect"].lower() != b"100-continue"
        ):
            headers.append((b"expect", hop_headers[b"expect"]))
        peer = hop_headers.get(b"x-envoy-peer-metadata")
        if peer is not None:
            if self.inbound:
                exchange.peer = self.decode_peer(peer)
            elif not self.outbound:
                headers.append((b"x-envoy-peer-metadata", peer))
                headers.append((b"x-envoy-peer-metadata-id", hop_headers.get(b"x-envoy-peer-metadata-id", b"")))


_AUTHORITY_BYTES: Final = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~%!$&'()*+,;=:[]@"


_CLOSE: Final = ((b"connection", b"close"),)


def _refusal(detail: str) -> Reply:
    status, body = fallback_parser.answer(detail)
    return Reply(status, body, detail, int(Flag.DPE), headers=_CLOSE)


def split_target(exchange: Exchange, target: bytes) -> str:
    """Takes apart a target that is not a path (CONNECT's authority, an absolute URL, an asterisk) into authority and
    path; the code detail when it cannot be."""
    hop_headers = exchange.hop_headers
    if exchange.method == b"CONNECT":
        if not names_a_host(target, with_port=True):
            return INVALID_URL
        if b"transfer-encoding" in hop_headers:
            return "http1.invalid_transfer_encoding"
        if hop_headers.get(b"content-length", b"0") != b"0":
            return "http1.body_disallowed"
        exchange.authority, exchange.path = target, b""
        return ""
    if b"://" in target:
        split = split_absolute(target)
        if isinstance(split, str):
            return split
        exchange.authority, exchange.path = split
        return ""
    exchange.authority = hop_headers.get(b"host", b"")
    if target[:1] == b"*":
        return "" if target == b"*" and exchange.method == b"OPTIONS" else INVALID_URL
    return CODEC_ERROR
