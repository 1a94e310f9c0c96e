# The daemon as an image. Give PYTHON_IMAGE by digest in your own builds: a tag can be moved.
#   docker build -t fairlead .
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
COPY requirements.lock ./
# The lock has everything, development included. All is verified by hash once; then only what the
# package needs to run is installed, from these verified files and nothing else.
RUN python -m pip download --require-hashes --dest /wheels --requirement requirements.lock \
 && python -m pip install --no-index --find-links /wheels hatchling
COPY pyproject.toml README.md LICENSE ./
COPY reconciler reconciler
COPY deploy/control-plane deploy/control-plane
RUN python -m pip wheel --no-build-isolation --no-deps --wheel-dir /wheels . \
 && python -m venv /opt/fairlead \
 && /opt/fairlead/bin/pip install --no-index --find-links /wheels "fairlead[postgresql]" \
 && /opt/fairlead/bin/pip uninstall --yes pip

FROM ${PYTHON_IMAGE}
COPY --from=build /opt/fairlead /opt/fairlead
# State is in /var/lib/fairlead: mount a volume there.
RUN useradd --uid 65532 --home-dir /var/lib/fairlead --create-home --shell /usr/sbin/nologin fairlead
USER 65532:65532
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
ENTRYPOINT ["/opt/fairlead/bin/fairlead"]
CMD ["run", "--config", "/etc/fairlead/settings.yaml"]
