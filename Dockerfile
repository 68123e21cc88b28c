# syntax=docker/dockerfile:1
# The image is the program, the certificate authorities, and nothing else: no shell, no package manager, no user but a number.
# The same sources, Go and architecture give the same program, byte by byte.

ARG GO_VERSION=1.26

FROM --platform=$BUILDPLATFORM golang:${GO_VERSION} AS build
WORKDIR /src
ENV CGO_ENABLED=0 GOTOOLCHAIN=local
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
ARG TARGETOS
ARG TARGETARCH
ARG REVISION=
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -buildvcs=false -ldflags="-s -w -X main.revision=$REVISION" -o /out/vestibule ./cmd/vestibule

FROM scratch
ARG REVISION=
LABEL org.opencontainers.image.title="Vestibule" \
      org.opencontainers.image.description="A backend-for-frontend for OAuth 2 and OpenID Connect: sessions in sealed cookies, tokens refreshed exactly once" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/vestibule /vestibule
# What "vestibule demo --published" asks for. Nothing else looks at it.
ENV container=oci
# Numbers, so that orchestrators can see that it is not root. It writes nothing: run it with a read-only file system.
USER 65532:65532
# listen. Metrics and probes (admin_listen, 9091) stay within the container unless they are configured to be reached.
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --start-interval=1s --retries=3 CMD ["/vestibule", "healthcheck"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/vestibule"]
CMD ["serve"]
