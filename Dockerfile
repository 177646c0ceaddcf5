# docker build --tag altfreeze . && docker run --rm --volume "$PWD/results:/altfreeze/results" altfreeze
FROM python:3.11-slim
# git tells the commit that results carry
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends git && rm -rf /var/lib/apt/lists/*
WORKDIR /altfreeze
COPY requirements.txt requirements.lock ./
RUN pip install --no-cache-dir --requirement requirements.txt --constraint requirements.lock
COPY . .
RUN pip install --no-cache-dir --no-deps --editable .
ENTRYPOINT ["snakemake", "--cores", "all"]
