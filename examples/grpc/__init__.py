"""A greeter that speaks gRPC, and its client: unary calls and streams of all kinds, for docs/grpc.md."""
