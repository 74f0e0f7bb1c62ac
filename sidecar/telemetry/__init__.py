"""What the proxy tells about itself: Envoy's and Istio's metrics, access logs, traces.

Receives each finished `Exchange` (and, while it runs, increments of pre-bound cells); returns nothing to the request
except the propagation and peer headers it adds. The last station of a request; what it gathered is read through
`sidecar.admin`.
"""
