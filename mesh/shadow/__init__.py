"""Shadow traffic with comparison: what a candidate answers, held against what the baseline does.

Receives requests (mirrored by a sidecar, replayed, or sent by `mesh load`); each goes to the baseline twice and to the
candidate once (`server`). What differs between two answers of the baseline is noise (`compare`, pure); what differs more
often than that is reported.
"""
