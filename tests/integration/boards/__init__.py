"""A mesh under load and faults with a real Prometheus beside it: what boards, rules and alerts ask is answered."""
