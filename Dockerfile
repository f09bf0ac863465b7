# An image for the head and the workers of a Ray cluster: Ray's own image plus this package.
#   docker build -t flyte-ray:0.1.0 .
#   docker build -t flyte-ray:0.1.0 --build-arg EXTRAS=s3,polars .
# Python and Ray here must match those of the machine that submits: Ray refuses a mixture.
ARG RAY_IMAGE=rayproject/ray:2.60.0-py311

FROM ${RAY_IMAGE} AS wheel
COPY --chown=ray . /home/ray/src
RUN pip wheel --no-deps --no-cache-dir --wheel-dir /home/ray/dist /home/ray/src

FROM ${RAY_IMAGE}
ARG EXTRAS=s3
COPY --from=wheel --chown=ray /home/ray/dist /home/ray/dist
RUN pip install --no-cache-dir "$(ls /home/ray/dist/flyte_ray-*.whl)[${EXTRAS}]" \
    && rm -rf /home/ray/dist \
    && flyte-ray --help >/dev/null
