"""What is done with a finished exchange: all accounts of a connection manager as one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Final

from sidecar.http.exchange import Exchange
from sidecar.telemetry.cells import Counter

log: Final = logging.getLogger(__name__)

# Accounts a finished exchange, at a moment of its clock.
Account = Callable[[Exchange, float], None]


def guarded(accounts: Sequence[Account], errors: Counter) -> Account:
    """All of them as one. An exchange that one of them cannot digest is a fault of ours that is told of, not a reason to
    leave the connection, or the other accounts, in the middle of it. (A `try` costs nothing until it is needed.)"""
    told: set[tuple[Account, type[Exception]]] = set()

    def account_all(exchange: Exchange, now: float) -> None:
        for account in accounts:
            try:
                account(exchange, now)
            except Exception as error:
                errors.value += 1
                if (account, type(error)) not in told:
                    told.add((account, type(error)))
                    log.exception("an exchange could not be accounted; further errors like this are only counted")

    return account_all
