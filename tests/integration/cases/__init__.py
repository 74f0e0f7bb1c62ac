"""The cases of tests/simulation, called: one control plane, our sidecar and a real Envoy, the same services behind both."""
