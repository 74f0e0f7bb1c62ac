"""`python -m mesh.istio` prints the supported kinds and fields, and the refused ones, as Markdown."""

from mesh.istio.reference import markdown

print(markdown(), end="")
