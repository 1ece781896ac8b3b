# syntax=docker/dockerfile:1
# One executable in an image with a C library and nothing else. Both base images can be replaced by others, such as
# mirrors: the first needs npm, Node.js 20 or later and, for 18 MB less, strip; the second glibc and libstdc++.
ARG BUILD_IMAGE=node:24-bookworm
ARG RUN_IMAGE=gcr.io/distroless/cc-debian12:nonroot

# The executable is for linux-x64, so the image is, whatever machine builds it.
FROM --platform=linux/amd64 ${BUILD_IMAGE} AS build
WORKDIR /build
# First what changes rarely: an edited source leaves the installed packages in Docker's cache.
COPY package.json package-lock.json .npmrc ./
COPY tools ./tools
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY build.mjs tsconfig.json ./
COPY src ./src
COPY harness ./harness
RUN node build.mjs && mkdir /state

FROM --platform=linux/amd64 ${RUN_IMAGE}
COPY --from=build /build/dcache /dcache
COPY --from=build /build/dist/THIRD_PARTY_LICENSES /licenses/
COPY LICENSE /licenses/
# Where a restarted container finds whom to join again, and what dcache shutdown kept: mount a volume there to keep it
# longer than the container. A number for the user, since a base image need not know a name for it.
COPY --from=build --chown=65532:65532 /state /state
USER 65532:65532
WORKDIR /state
# Every option of `dcache node` can be set this way. In a container, loopback would reach nobody.
ENV DCACHE_LISTEN=0.0.0.0:5555 DCACHE_HINT_FILE=/state/hints.json DCACHE_DATA=/state/data
EXPOSE 5555
# Whether this node is a member with a lease. One that waits for its cluster to come back is not: it is left running.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["/dcache", "health"]
# Hands its data over to the others, then ends. Give it time: stop_grace_period, or docker stop --time.
STOPSIGNAL SIGTERM
ENTRYPOINT ["/dcache"]
CMD ["node"]
