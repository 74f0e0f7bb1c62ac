from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from mesh.observe.exposition import parse
from mesh.promql.series import labels_of

TEXT = """# HELP up_total Helps.
# TYPE up_total counter
up_total{pod="a",path="/x\\"y\\\\z\\n"} 3
plain 1.5e3
late 1 1700000000000
linked_bucket{le="+Inf"} 7 # {trace_id="1"} 0.5
what is this
wrong{a="b"} x
"""


def test_samples_have_the_labels_of_their_target() -> None:
    found = parse(TEXT, {"pod": "t"})
    assert found.samples == [
        (labels_of("up_total", {"exported_pod": "a", "path": '/x"y\\z\n', "pod": "t"}), 3.0),
        (labels_of("plain", {"pod": "t"}), 1500.0),
        (labels_of("late", {"pod": "t"}), 1.0),
        (labels_of("linked_bucket", {"le": "+Inf", "pod": "t"}), 7.0),
    ]
    assert found.skipped == 2


def test_only_what_is_wanted_is_kept() -> None:
    assert parse(TEXT, {}, re.compile("plain|lat")).samples == [(labels_of("plain", {}), 1500.0)]


@given(
    st.dictionaries(st.from_regex(r"[a-z]{1,5}", fullmatch=True), st.text(max_size=8), max_size=3),
    st.floats(allow_nan=False),
)
def test_it_reads_what_prometheus_client_reads(labels: dict[str, str], value: float) -> None:
    escaped = {key: text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n") for key, text in labels.items()}
    inner = ",".join(f'{key}="{text}"' for key, text in escaped.items())
    line = f"metric{{{inner}}} {value!r}\n" if inner else f"metric {value!r}\n"
    (theirs,) = next(iter(text_string_to_metric_families(line))).samples
    assert parse(line, {}).samples == [(labels_of("metric", theirs.labels), theirs.value)]
