"""Header blocks on their way out, with `hpack` as the other end."""

import hpack
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from sidecar.codec.hpack_encoder import Encoder
from sidecar.http.headers import Headers

NAMES = st.sampled_from(
    [b":path", b":method", b":status", b"accept", b"x-request-id", b"x-b", b"authorization", b"date"]
)
VALUES = st.one_of(st.sampled_from([b"", b"GET", b"/", b"200"]), st.binary(max_size=700))


def decoded(decoder: hpack.Decoder, block: bytes) -> Headers:
    return [(bytes(name), bytes(value)) for name, value in decoder.decode(block, raw=True)]


def decoder() -> hpack.Decoder:
    return hpack.Decoder(max_header_list_size=1 << 20)


class AnotherDecoder(RuleBasedStateMachine):
    """Blocks of one connection, with what the peer allows changing in between."""

    @initialize(most=st.sampled_from([0, 100, 4096, 10000]))
    def begin(self, most: int) -> None:
        self.encoder = Encoder(most)
        self.decoder = decoder()

    @rule(fields=st.lists(st.tuples(NAMES, VALUES), max_size=12))
    def block(self, fields: Headers) -> None:
        for _ in range(2):
            assert decoded(self.decoder, self.encoder.encode(fields)) == fields

    @rule(sizes=st.lists(st.sampled_from([0, 33, 100, 1000, 4096, 9000]), min_size=1, max_size=3))
    def settings_change(self, sizes: list[int]) -> None:
        for size in sizes:
            self.encoder.set_limit(size)
        self.decoder.max_allowed_table_size = sizes[-1]


TestAnotherDecoder = AnotherDecoder.TestCase
TestAnotherDecoder.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


def test_what_repeats_is_a_byte() -> None:
    encoder = Encoder()
    fields = [(b":status", b"200"), (b"content-type", b"application/grpc"), (b"x-color", b"blue")]
    assert len(encoder.encode(fields)) > 20
    assert len(encoder.encode(fields)) == 3


@pytest.mark.parametrize("name", [b"x-request-id", b"traceparent", b"x-b3-spanid", b"content-length"])
def test_identifiers_never_enter_the_table(name: bytes) -> None:
    encoder, table = Encoder(), decoder()
    for number in range(3):
        decoded(table, encoder.encode([(name, b"%d" % number)]))
    assert not table.header_table.dynamic_entries


@pytest.mark.parametrize("name", [b"authorization", b"cookie", b"set-cookie"])
def test_secrets_are_marked_as_such(name: bytes) -> None:
    ((_, _, *marks),) = [(*field, field.indexable) for field in decoder().decode(Encoder().encode([(name, b"secret")]))]
    assert marks == [False]


def test_a_name_whose_values_keep_changing_stays_out_until_it_calms_down() -> None:
    encoder, table = Encoder(), decoder()
    for number in range(100):
        decoded(table, encoder.encode([(b":path", b"/items/%d" % number)]))
    assert len(table.header_table.dynamic_entries) == 8
    for _ in range(200):
        decoded(table, encoder.encode([(b":path", b"/calm")]))
    assert (b":path", b"/calm") in [tuple(entry) for entry in table.header_table.dynamic_entries]


def test_a_large_field_does_not_empty_the_table() -> None:
    encoder, table = Encoder(), decoder()
    decoded(table, encoder.encode([(b"x-a", b"1"), (b"x-large", b"l" * 2000)]))
    assert [tuple(entry) for entry in table.header_table.dynamic_entries] == [(b"x-a", b"1")]


def test_the_smallest_size_in_between_is_told_too() -> None:
    encoder, table = Encoder(), decoder()
    decoded(table, encoder.encode([(b"x-a", b"1")]))
    encoder.set_limit(0)
    encoder.set_limit(4096)
    assert encoder.encode([(b":method", b"GET")]) == b"\x20\x3f\xe1\x1f\x82"
