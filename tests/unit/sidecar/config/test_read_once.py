"""No compiler reads a set field twice: the second reading would be told that it is not set."""

from __future__ import annotations

from collections import defaultdict
from itertools import count
from pathlib import Path

import pytest
import yaml
from envoy.config.bootstrap.v3.bootstrap_pb2 import Bootstrap
from envoy.config.cluster.v3.cluster_pb2 import Cluster

from mesh.errors import ConfigError
from sidecar.bootstrap import read_bootstrap
from sidecar.config.document import Document
from sidecar.config.reader import Reader
from tests.oracle import bootstrap
from tests.oracle.topics import TOPICS


def test_a_second_reading_is_told_of() -> None:
    reader = Reader(Cluster(name="a", alt_stat_name="b"))
    assert (reader.text("name"), reader.text("name")) == ("a", "")
    reader.text("alt_stat_name")
    with pytest.raises(ConfigError, match="is read twice") as caught:
        reader.finish()
    assert [problem.field for problem in caught.value.problems] == ["name"]


def test_what_is_not_set_may_be_asked_for_again() -> None:
    reader = Reader(Cluster(name="a"))
    assert [reader.text("alt_stat_name") for _ in range(2)] == ["", ""]
    assert (reader.has("name"), reader.text("name"), reader.has("name")) == (True, "a", False)
    reader.finish()


@pytest.mark.parametrize("topic", TOPICS)
def test_what_the_oracle_configures_is_read_once(topic: str, tmp_path: Path) -> None:
    """Nearly every field that there is, in one topic or another."""
    cases = TOPICS[topic]
    ports: defaultdict[str, int] = defaultdict(count(1).__next__)
    config = bootstrap.build(cases, ports, defaultdict(count(10_000).__next__), 60_000, str(tmp_path / "log"))
    reader = Reader(Document(yaml.safe_dump(config), "bootstrap.yaml").parse(Bootstrap()))
    read_bootstrap(reader)
    reader.finish()
