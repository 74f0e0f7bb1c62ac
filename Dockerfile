# One image for every part of the mesh, and for the example services: which one a container is, its command says.
# The first stage makes a wheel with the data plane compiled, and installs it; the second has no compiler, and no pip.
FROM python:3.11-slim-bookworm AS build
RUN apt-get update \
 && apt-get install --yes --no-install-recommends gcc libc6-dev binutils
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src

# The dependencies are a layer of their own: a change of the code does not install them again.
COPY pyproject.toml constraints.txt ./
RUN python -m venv /opt/mesh \
 && python -c "import tomllib; p = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
      print(*p['dependencies'], 'hdrhistogram', sep='\n')" > /tmp/requirements.txt \
 && /opt/mesh/bin/pip install --constraint constraints.txt --requirement /tmp/requirements.txt \
 && pip install --constraint constraints.txt build

COPY README.md LICENSE hatch_build.py ./
COPY mesh mesh
COPY control_plane control_plane
COPY sidecar sidecar
COPY examples examples
# Left out at the end: what only an installation needs, sources of extension modules, their symbols.
RUN python -m build --wheel --outdir /tmp/dist \
 && /opt/mesh/bin/pip install --no-deps /tmp/dist/*.whl \
 && /opt/mesh/bin/mesh-sidecar --version \
 && /opt/mesh/bin/pip uninstall --yes --quiet pip setuptools \
 && find /opt/mesh -name '*.so' -exec strip --strip-unneeded {} + \
 && find /opt/mesh \( -name '*.c' -o -name '*.h' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.pyi' \) -delete

FROM python:3.11-slim-bookworm
# iptables is for sidecars that intercept transparently. Their proxy's uid is Istio's, 1337; nothing else here needs root.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends iptables \
 && rm -rf /var/lib/apt/lists/* \
 && groupadd --gid 1337 mesh \
 && useradd --uid 1337 --gid 1337 --home-dir /var/lib/mesh --create-home --shell /usr/sbin/nologin mesh \
 && useradd --uid 1000 --user-group --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin app \
 && install -d -o mesh -g root -m 775 /etc/mesh
COPY --from=build /opt/mesh /opt/mesh
COPY examples/compose/healthy.py /usr/local/bin/mesh-healthy
COPY examples /srv/mesh/examples
ENV PATH=/opt/mesh/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /srv/mesh
USER mesh
CMD ["mesh", "--help"]
