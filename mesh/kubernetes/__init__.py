"""Kubernetes' own kinds, as far as the mesh reads them; loaded, checked and refused as Istio's are (`mesh.istio.load`).

Next station: the control plane's store.
"""
