"""The version of the distribution: read by the build, by `--version` of every command, and by /server_info.

In a module of its own, and not asked of the installed metadata, so that it costs nothing to say.
"""

VERSION = "0.1.0"
AGENT_NAME = "asyncmesh"  # what a sidecar of ours calls itself when it connects
