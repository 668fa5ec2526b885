# The server on CPU. Every install step is a script that `make setup` runs as well.
#
#   docker build -t vivavoce .
#   docker run -p 8080:8080 -v vivavoce-data:/data vivavoce
#
# It listens on all addresses of the container, so clients need a token: the first start makes one
# and prints it, with a URL ready to open (docker logs).

FROM rust:1.95-bookworm AS builder
WORKDIR /src
COPY scripts/setup-system.sh scripts/
RUN scripts/setup-system.sh build
COPY scripts/setup-models.sh scripts/
COPY models/manifest.yml models/
RUN scripts/setup-models.sh
COPY . .
RUN cargo build --release --locked
RUN scripts/install-files.sh target/release/vivavoce /out

FROM debian:bookworm-slim
COPY scripts/setup-system.sh /opt/vivavoce/scripts/
RUN /opt/vivavoce/scripts/setup-system.sh --clean run
COPY --from=builder /out/opt/vivavoce /opt/vivavoce
COPY --from=builder --chown=10001:10001 /out/data /data

# Any key of config.yml can be set like this; or mount a file of your own over it.
ENV VIVAVOCE_SERVER__HOST=0.0.0.0 \
    VIVAVOCE_SERVER__PORT=8080 \
    VIVAVOCE_STORE__URL=sqlite:///data/vivavoce.sqlite \
    VIVAVOCE_RECORD_DIR=/data/recordings \
    VIVAVOCE_MODELS__CACHE=/data/models

USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
    CMD ["curl", "--fail", "--silent", "--output", "/dev/null", "http://127.0.0.1:8080/healthz"]
ENTRYPOINT ["/opt/vivavoce/vivavoce"]
CMD ["serve", "--config", "/opt/vivavoce/config.yml"]
