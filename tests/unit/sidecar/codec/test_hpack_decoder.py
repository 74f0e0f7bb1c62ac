"""Header blocks on their way in, with `hpack` as the other end."""

import hpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from sidecar.codec.hpack_decoder import Decoder, static_fields
from sidecar.codec.hpack_table import HpackError
from sidecar.http.headers import Headers

NAMES = st.sampled_from([b":path", b":method", b"accept", b"x-a", b"x-b", b"cookie", b"content-type"])
VALUES = st.one_of(st.sampled_from([b"", b"GET", b"/", b"same"]), st.binary(max_size=60))
FIELDS = st.lists(st.tuples(NAMES, VALUES), max_size=8)


def judge(name: bytes, value: bytes) -> int:
    return len(name) + len(value)


def decoder(max_list: int = 60 * 1024) -> Decoder:
    return Decoder(static_fields(judge), judge, max_list=max_list)


def decoded(subject: Decoder, block: bytes) -> Headers:
    return [field.pair for field in subject.decode(block)]


class AnotherEncoder(RuleBasedStateMachine):
    """Blocks of one connection, with the table's size changing in between."""

    @initialize()
    def begin(self) -> None:
        self.encoder = hpack.Encoder()
        self.decoder = decoder()
        self.kept: list[tuple[bytes, Headers]] = []

    @rule(fields=FIELDS, huffman=st.booleans())
    def block(self, fields: Headers, huffman: bool) -> None:
        assert decoded(self.decoder, self.encoder.encode(fields, huffman=huffman)) == fields

    @rule(fields=FIELDS)
    def same_block_again(self, fields: Headers) -> None:
        for _ in range(3):
            assert decoded(self.decoder, self.encoder.encode(fields)) == fields

    @rule(size=st.integers(0, 4096))
    def resize(self, size: int) -> None:
        self.encoder.header_table_size = size


TestAnotherEncoder = AnotherEncoder.TestCase
TestAnotherEncoder.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


@given(st.lists(st.binary(max_size=80), max_size=4))
def test_arbitrary_bytes_are_what_hpack_makes_of_them(blocks: list[bytes]) -> None:
    ours, theirs = decoder(), hpack.Decoder(max_header_list_size=1 << 20)
    theirs.max_allowed_table_size = 4096
    for block in blocks:
        try:
            expected = [(bytes(name), bytes(value)) for name, value in theirs.decode(block, raw=True)]
        except hpack.HPACKError:
            with pytest.raises(HpackError):
                ours.decode(block)
            return
        except UnicodeDecodeError:  # it looks into what it should not care about
            return
        try:
            assert decoded(ours, block) == expected
        except HpackError as error:  # a number with many leading zeros: RFC 7541 §5.1 lets us refuse it
            assert "number" in str(error)
            return


def test_a_field_is_judged_once() -> None:
    asked: list[bytes] = []

    def noting(name: bytes, value: bytes) -> int:
        asked.append(name)
        return 7

    subject = Decoder(static_fields(judge), noting, max_list=1000)
    encoder = hpack.Encoder()
    for _ in range(3):
        assert [field.kind for field in subject.decode(encoder.encode([(b"x-a", b"1")]))] == [7]
    assert asked == [b"x-a"]


@given(st.lists(st.tuples(st.sampled_from([28, 31, 33]), st.sampled_from([b"", b"66", b"text/plain", b"x" * 70]))))
def test_a_field_that_is_spelled_out_again_enters_the_table_again(spelled: list[tuple[int, bytes]]) -> None:
    """As nginx does: with a name of the static table, to be indexed, and never named by its index."""
    asked: list[tuple[bytes, bytes]] = []

    def noting(name: bytes, value: bytes) -> int:
        asked.append((name, value))
        return len(asked)

    ours, theirs = Decoder(static_fields(judge), noting, max_list=1 << 20), hpack.Decoder()
    for index, value in spelled:
        block = bytes((0x40 | index, len(value))) + value + b"\xbe"  # … and the newest entry of the table
        assert decoded(ours, block) == [(bytes(name), bytes(text)) for name, text in theirs.decode(block, raw=True)]
    short = [each for each in asked if len(each[1]) < 64]
    assert len(short) == len(set(short))


def test_a_block_of_indices_is_remembered_until_the_table_changes() -> None:
    subject, encoder = decoder(), hpack.Encoder()
    subject.decode(encoder.encode([(b"x-a", b"1")]))
    indices = encoder.encode([(b"x-a", b"1")])
    first = subject.decode(indices)
    assert subject.decode(indices) is first
    subject.decode(encoder.encode([(b"x-b", b"1")]))
    assert decoded(subject, encoder.encode([(b"x-a", b"1")])) == [(b"x-a", b"1")]
    assert decoded(subject, indices) == [(b"x-b", b"1")]


def test_of_a_list_that_is_too_long_only_the_table_is_kept() -> None:
    subject, encoder = decoder(max_list=100), hpack.Encoder()
    fields = [(b"x-a", b"a" * 30), (b"x-b", b"b" * 30), (b"x-c", b"c" * 30)]
    assert len(subject.decode(encoder.encode(fields))) == 1
    assert subject.oversized
    assert decoded(subject, encoder.encode(fields[1:2])) == fields[1:2]
    assert not subject.oversized


@pytest.mark.parametrize(
    "block",
    [
        b"\x80",  # index 0
        b"\xc6",  # index 70 of an empty table
        b"\x40",  # a literal without a name
        b"\x40\x01a\x05b",  # a value that ends too soon
        b"\x82\x3f\x00",  # a size update behind a field
        b"\x3f\xe2\x1f",  # a table size of 4097
        b"\x00\x81\xff\x00",  # a name whose Huffman code is padding only, and more
    ],
)
def test_broken_blocks(block: bytes) -> None:
    with pytest.raises(HpackError):
        decoder().decode(block)


def test_a_peer_that_has_to_shrink_its_table_says_so_in_its_next_block() -> None:
    subject = decoder()
    subject.set_limit(100)
    with pytest.raises(HpackError, match="shrink"):
        subject.decode(b"\x82")
    subject = decoder()
    subject.set_limit(100)
    assert decoded(subject, b"\x3f\x45\x82") == [(b":method", b"GET")]
