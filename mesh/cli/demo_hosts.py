"""Which endpoints a proxy has taken out of use, from its admin port's /clusters. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from mesh.naming import ClusterName

FLAGS = {
    "/failed_outlier_check": "ejected after failures",
    "/failed_active_hc": "fails its health check",
    "/failed_eds_health": "unhealthy",
}


def out_of_use(texts: Mapping[str, str]) -> tuple[list[str], int]:
    """From the texts by proxy: a line for each endpoint that is out of use, and how many endpoints are known in all."""
    known: set[str] = set()
    lines: dict[str, None] = {}
    for proxy, text in texts.items():
        for line in text.splitlines():
            parts = line.split("::")
            if len(parts) != 4 or parts[2] != "health_flags":
                continue
            cluster = ClusterName.parse(parts[0])
            if cluster is None or cluster.direction != "outbound":
                continue
            known.add(parts[1])
            why = [words for flag, words in FLAGS.items() if flag in parts[3]]
            if why:
                service = cluster.host.partition(".")[0]
                lines[f"{proxy} → {service} {parts[1]}: {', '.join(why)}"] = None
    return list(lines), len(known)
