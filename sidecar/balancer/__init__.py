"""Which host gets a request.

Receives the hosts of a cluster with their health, returns a `Picker` for them; pickers are rebuilt when membership or
health changes, so that a pick does no filtering. Pure: randomness is injected. Next station: upstream.
"""
