"""Root no more, and never again: what a proxy does once its iptables rules are set. Linux only.

As `setpriv --reuid --regid --clear-groups --inh-caps=-all --bounding-set=-all --no-new-privs` does it
(capabilities(7), prctl(2)), in this process: another program in between would be another second at each start.
"""

from __future__ import annotations

import ctypes
import os
from typing import Final

from mesh.cli.errors import CliError

PR_CAPBSET_DROP: Final = 24
PR_SET_NO_NEW_PRIVS: Final = 38
PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
STATE: Final = "/var/lib/mesh"  # of the image's user; what root may read is not for the proxy
_CAPABILITIES: Final = 64  # more than any kernel has


def become(uid: int) -> None:
    """This process as user and group `uid`, without capabilities and without a way to get any. CliError if not."""
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in range(_CAPABILITIES):
        if libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) and ctypes.get_errno() == 1:
            raise CliError("cannot give up capabilities", "the container needs cap_add: [SETPCAP, SETUID, SETGID]")
    libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    try:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)  # the kernel takes what capabilities are left with it
    except PermissionError as error:
        raise CliError(f"cannot become uid {uid}", "the container needs cap_add: [SETUID, SETGID]") from error
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise CliError("cannot refuse new privileges (PR_SET_NO_NEW_PRIVS)")
    os.environ["HOME"] = STATE
