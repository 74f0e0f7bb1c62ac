"""Envoy's response flags: why a request went as it did, in two or three letters.

https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage (%RESPONSE_FLAGS%)
"""

from __future__ import annotations

from enum import IntFlag
from typing import Final


class Flag(IntFlag):
    """Envoy's response flags, in the order in which Envoy prints them; a name is what the log prints."""

    LH = 1 << 0
    UH = 1 << 1
    UT = 1 << 2
    LR = 1 << 3
    UR = 1 << 4
    UF = 1 << 5
    UC = 1 << 6
    UO = 1 << 7
    NR = 1 << 8
    DI = 1 << 9
    FI = 1 << 10
    RL = 1 << 11
    UAEX = 1 << 12
    RLSE = 1 << 13
    DC = 1 << 14
    URX = 1 << 15
    SI = 1 << 16
    IH = 1 << 17
    DPE = 1 << 18
    UMSDR = 1 << 19
    RFCF = 1 << 20
    NFCF = 1 << 21
    DT = 1 << 22
    UPE = 1 << 23
    NC = 1 << 24
    OM = 1 << 25
    DF = 1 << 26
    DO = 1 << 27
    DR = 1 << 28


def flags_text(flags: int) -> str:
    """`URX,UF`-style text of a flag set, `-` when it is empty. Envoy prints URX in front of what caused it."""
    if not flags:
        return "-"
    cached = _FLAGS_TEXT.get(flags)
    if cached is None:
        names = [flag.name or "" for flag in Flag if flags & flag]
        names.sort(key=lambda name: name != "URX")
        cached = _FLAGS_TEXT[flags] = ",".join(names)
    return cached


_FLAGS_TEXT: Final[dict[int, str]] = {}
