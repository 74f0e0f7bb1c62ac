# One image for every part of the mesh, and for the example services: which one a container is, its command says.
FROM python:3.11-slim-bookworm

# iptables is for sidecars that intercept transparently. Their proxy's uid is Istio's, 1337; nothing else here needs root.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends iptables \
 && rm -rf /var/lib/apt/lists/* \
 && groupadd --gid 1337 mesh \
 && useradd --uid 1337 --gid 1337 --home-dir /var/lib/mesh --create-home --shell /usr/sbin/nologin mesh \
 && useradd --uid 1000 --user-group --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin app \
 && install -d -o mesh -g root -m 775 /etc/mesh

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /srv/mesh

# The dependencies are a layer of their own: a change of the code does not install them again.
COPY pyproject.toml constraints.txt ./
RUN python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" \
      > /tmp/requirements.txt \
 && pip install --constraint constraints.txt --requirement /tmp/requirements.txt \
 && rm /tmp/requirements.txt

COPY README.md ./
COPY mesh mesh
COPY control_plane control_plane
COPY sidecar sidecar
COPY examples examples
RUN pip install --no-deps --editable . && python -m compileall -q mesh control_plane sidecar examples

USER mesh
CMD ["mesh", "--help"]
