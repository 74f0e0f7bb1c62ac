"""What a proxy would do with a request, and why: what it was given and a call (`given`) → `mesh.explain.steps` (`way`,
`splits`). Pure.

Nothing here decides: configuration is read by the proxy's own compilers (`sidecar.config`), and listeners, filter chains,
virtual hosts, rules and destinations are chosen by its own matchers. What is added is words. A proxy at work needs
`reasons` only: nothing else is loaded with it.
"""
