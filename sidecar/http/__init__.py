"""HTTP above the codec: the connection manager, its policy on heads, forwarding headers, local replies, the exchange."""
