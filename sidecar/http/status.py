"""HTTP statuses that several stations tell apart."""

from __future__ import annotations

from typing import Final

# "gateway-error" of retry policies, and of outlier detection.
GATEWAY_ERRORS: Final = frozenset((502, 503, 504))
# Responses without a body, whatever their fields say (RFC 9110 §6.4.1).
BODILESS: Final = frozenset((101, 204, 304))
