"""The Huffman code of header strings (RFC 7541, Appendix B), taken off a byte at a time.

The code is canonical: which symbols have how many bits says all. A decoder's state is where in the code's tree the last
byte ended; what each byte means in a state is worked out when it first comes up there.
"""

from __future__ import annotations

from typing import Final

_EOS: Final = 256
# Bits → the symbols whose codes have as many, in the codes' order.
_SYMBOLS: Final[dict[int, bytes]] = {
    5: b"012aceiost",
    6: b" %-./3456789=A_bdfghlmnpru",
    7: b":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz",
    8: b"&*,;XZ",
    10: b'!"()?',
    11: b"'+|",
    12: b"#>",
    13: b"\x00$@[]~",
    14: b"^}",
    15: b"<`{",
    19: b"\\\xc3\xd0",
    20: b"\x80\x82\x83\xa2\xb8\xc2\xe0\xe2",
    21: b"\x99\xa1\xa7\xac\xb0\xb1\xb3\xd1\xd8\xd9\xe3\xe5\xe6",
    22: b"\x81\x84\x85\x86\x88\x92\x9a\x9c\xa0\xa3\xa4\xa9\xaa\xad\xb2\xb5\xb9\xba\xbb\xbd\xbe\xc4\xc6\xe4\xe8\xe9",
    23: b"\x01\x87\x89\x8a\x8b\x8c\x8d\x8f\x93\x95\x96\x97\x98\x9b\x9d\x9e"
    b"\xa5\xa6\xa8\xae\xaf\xb4\xb6\xb7\xbc\xbf\xc5\xe7\xef",
    24: b"\t\x8e\x90\x91\x94\x9f\xab\xce\xd7\xe1\xec\xed",
    25: b"\xc7\xcf\xea\xeb",
    26: b"\xc0\xc1\xc8\xc9\xca\xcd\xd2\xd5\xda\xdb\xee\xf0\xf2\xf3\xff",
    27: b"\xcb\xcc\xd3\xd4\xd6\xdd\xde\xdf\xf1\xf4\xf5\xf6\xf7\xf8\xfa\xfb\xfc\xfd\xfe",
    28: bytes((2, 3, 4, 5, 6, 7, 8, 11, 12, 14, 15, 16, 17, 18, 19, 20, 21, 23, 24, 25, 26, 27, 28, 29, 30, 31, 127))
    + b"\xdc\xf9",
    30: b"\n\r\x16",  # … and the end of string, which is never sent
}


class HuffmanError(Exception):
    """Bytes that are no Huffman-coded string."""


def _tree() -> tuple[list[tuple[int, int]], set[int]]:
    """The tree's inner nodes, the root first: what a 0 and a 1 lead to, an inner node's number or -1 - symbol; and the
    nodes in which a string may end: less than a byte of ones away from the root (RFC 7541 §5.2)."""
    children: list[list[int]] = [[0, 0]]
    code, width = 0, 0
    for bits, symbols in _SYMBOLS.items():
        code <<= bits - width
        width = bits
        for symbol in [*symbols, _EOS] if bits == 30 else symbols:
            node = 0
            for shift in range(bits - 1, 0, -1):
                bit = code >> shift & 1
                if not children[node][bit]:
                    children[node][bit] = len(children)
                    children.append([0, 0])
                node = children[node][bit]
            children[node][code & 1] = -1 - symbol
            code += 1
    ends, node = {0}, 0
    for _ in range(7):
        node = children[node][1]
        ends.add(node)
    return [(zero, one) for zero, one in children], ends


_NODES, _ENDS = _tree()
_Row = list[tuple[int, bytes]]
_ROWS: Final[list[_Row | None]] = [None] * len(_NODES)
_BROKEN: Final = -1


def _row(state: int) -> _Row:
    """For each byte: the state after it, and the symbols that it completed."""
    made: _Row = []
    for byte in range(256):
        node, symbols = state, b""
        for shift in range(7, -1, -1):
            node = _NODES[node][byte >> shift & 1]
            if node < 0:
                if node == -1 - _EOS:
                    break
                symbols += bytes((-1 - node,))
                node = 0
        made.append((_BROKEN if node < 0 else node, symbols))
    _ROWS[state] = made
    return made


def decode(data: bytes) -> bytes:
    """The string behind the code. Raises HuffmanError."""
    state = 0
    pieces: list[bytes] = []
    for byte in data:
        row = _ROWS[state]
        if row is None:
            row = _row(state)
        state, symbols = row[byte]
        if state < 0:
            raise HuffmanError("an end of string within a string")
        pieces.append(symbols)
    if state not in _ENDS:
        raise HuffmanError("padding that is longer than seven bits or not all ones")
    return b"".join(pieces)
