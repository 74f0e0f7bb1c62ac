# One image for every part of the mesh, and for the example services: which one a container is, its command says.
# The first stage compiles the data plane and installs everything; the second is Debian with that and a Python that has no
# pip, no compiler, no tests: under 200 MB, where python:3.11-slim alone has 130.
FROM python:3.11-slim-bookworm AS build
RUN apt-get update \
 && apt-get install --yes --no-install-recommends gcc libc6-dev binutils
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src

# The dependencies are a layer of their own: a change of the code does not install them again.
COPY pyproject.toml constraints.txt ./
RUN python -m venv /opt/mesh \
 && python -c "import tomllib; p = tomllib.load(open('pyproject.toml', 'rb')); \
      print(*p['project']['dependencies'], 'hdrhistogram', sep='\n', file=open('/tmp/runtime.txt', 'w')); \
      print(*p['build-system']['requires'], 'build', sep='\n', file=open('/tmp/build.txt', 'w'))" \
 && /opt/mesh/bin/pip install --constraint constraints.txt --requirement /tmp/runtime.txt \
 && pip install --constraint constraints.txt --requirement /tmp/build.txt

COPY README.md LICENSE hatch_build.py ./
COPY mesh mesh
COPY control_plane control_plane
COPY sidecar sidecar
COPY examples examples
RUN python -m build --wheel --no-isolation --outdir /tmp/dist \
 && /opt/mesh/bin/pip install --no-deps /tmp/dist/*.whl

# Left out: what only an installation or a developer needs, symbols, and the lexers of five hundred languages. The standard
# library is compiled here, once: its own image leaves that to each start of each process.
RUN /opt/mesh/bin/pip uninstall --yes --quiet pip setuptools \
 && find /opt/mesh \( -name '*.c' -o -name '*.h' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.pyi' \) -delete \
 && find /opt/mesh/lib/python3.11/site-packages/pygments/lexers -type f \
      ! -name '__init__*' ! -name '_mapping*' ! -name 'python*' -delete \
 && rm -rf /opt/mesh/lib/python3.11/site-packages/pbr \
 && cd /usr/local/lib/python3.11 \
 && rm -rf site-packages/* distutils ensurepip idlelib lib2to3 pydoc_data test tkinter turtledemo turtle.py \
      config-3.11-* lib-dynload/_test* lib-dynload/_ctypes_test* lib-dynload/xxlimited* \
 && rm -rf /usr/local/include /usr/local/share /usr/local/lib/pkgconfig /usr/local/lib/*.a \
 && find /usr/local/bin -type f ! -name 'python3*' -delete \
 && find /opt/mesh /usr/local/lib -name '*.so*' -type f -exec strip --strip-unneeded {} + \
 && find /usr/local/lib/python3.11 -name __pycache__ -prune -exec rm -rf {} + \
 && python -m compileall -q -j 0 /usr/local/lib/python3.11

FROM debian:bookworm-slim
# iptables is for sidecars that intercept transparently; the libraries are Python's. The proxies' uid is Istio's, 1337; nothing
# else here needs root.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends \
      ca-certificates iptables libbz2-1.0 libffi8 liblzma5 libsqlite3-0 libssl3 libuuid1 zlib1g \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/* /var/log/* /usr/share/doc/* /usr/share/man/* \
 && groupadd --gid 1337 mesh \
 && useradd --uid 1337 --gid 1337 --home-dir /var/lib/mesh --create-home --shell /usr/sbin/nologin mesh \
 && useradd --uid 1000 --user-group --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin app \
 && install -d -o mesh -g root -m 775 /etc/mesh
COPY --from=build /usr/local /usr/local
COPY --from=build /opt/mesh /opt/mesh
COPY examples/compose/healthy.py /usr/local/bin/mesh-healthy
COPY examples /srv/mesh/examples
ENV PATH=/opt/mesh/bin:$PATH LANG=C.UTF-8 PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# Everything that was compiled finds its libraries, and the data plane is machine code.
RUN ldconfig && python -c 'import bz2, ctypes, lzma, sqlite3, ssl, uuid, zlib, uvloop' \
 && mesh-sidecar --version | grep compiled && mesh --version && mesh-control-plane --version
WORKDIR /srv/mesh
USER mesh
CMD ["mesh", "--help"]
