from __future__ import annotations

from mesh.observe.breaker_states import changes, states

RATINGS = "outbound|9080|v1|ratings.default.svc.cluster.local"
ANSWERS = {
    "reviews-v2": {
        "breakers": [
            {
                "cluster": RATINGS,
                "host": "*",
                "state": "open",
                "reason": "3 failures in a row",
                "window": {"requests": 0, "failed": 0, "slow": 0},
                "opens_at": "3 failures in a row",
            },
            {"cluster": RATINGS, "host": "10.0.0.1:9080", "state": "closed", "reason": ""},
            {"cluster": "inbound|9080||", "host": "*", "state": "open", "reason": ""},
        ],
        "events": [{"at": 5.0, "cluster": RATINGS, "host": "*", "state": "open", "reason": "3 failures in a row"}],
    },
    "a": {"breakers": [{"cluster": RATINGS, "host": "*", "state": "half-open", "reason": "tried"}], "events": []},
}


def test_what_blocks_comes_first_and_says_since_when_and_why() -> None:
    found = states(ANSWERS)
    assert [(each.caller, each.host, each.state) for each in found] == [
        ("reviews-v2", "*", "open"),
        ("a", "*", "half-open"),
        ("reviews-v2", "10.0.0.1:9080", "closed"),
    ]
    assert (found[0].service, found[0].subset, found[0].since, found[0].why) == (
        "ratings",
        "v1",
        5.0,
        "3 failures in a row",
    )
    assert (found[0].requests, found[1].requests) == (0, -1)


def test_changes_newest_first() -> None:
    assert [(change.service, change.state) for change in changes(ANSWERS)] == [("ratings", "open")]
