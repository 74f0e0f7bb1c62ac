#!/bin/sh
# A container's sidecar: what an init container and the proxy are on Kubernetes. The arguments are those of `mesh bootstrap`.
# Root for as long as it takes to set the rules; then the proxy, which is nobody special, and can never be again.
set -eu
mesh bootstrap --interception redirect "$@" > /etc/mesh/bootstrap.yaml
mesh iptables --apply
exec setpriv --reuid 1337 --regid 1337 --clear-groups --inh-caps=-all --bounding-set=-all --no-new-privs \
  mesh-sidecar -c /etc/mesh/bootstrap.yaml --state-dir /var/lib/mesh --file-flush-interval-msec 1000
