#!/bin/sh
# The ingress gateway: a proxy without an app. It captures nothing, and needs no privileges.
set -eu
mesh bootstrap --gateway "$@" > /etc/mesh/bootstrap.yaml
exec mesh-sidecar -c /etc/mesh/bootstrap.yaml --state-dir /var/lib/mesh --file-flush-interval-msec 1000
