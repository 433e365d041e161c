# stylegan for the CPU, from the wheel that `.ci/build` made and tried:
#   docker build --tag stylegan-torch .
#   docker run --rm --volume "$PWD:/work" stylegan-torch generate --seeds 0-7 --outdir pictures
FROM python:3.11-slim

# PyTorch's own index has wheels without what NVIDIA's cards need; theirs count as newer than those of the same version.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ARG EXTRAS=explore,film,hub
COPY constraints.txt dist/*.whl /tmp/wheel/
RUN pip install --no-cache-dir --extra-index-url "$TORCH_INDEX" --constraint /tmp/wheel/constraints.txt \
    "$(echo /tmp/wheel/*.whl)[$EXTRAS]"

RUN useradd --create-home --uid 1000 stylegan
USER 1000
WORKDIR /work
ENTRYPOINT ["stylegan"]
CMD ["--help"]
