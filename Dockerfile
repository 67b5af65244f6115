# One agent. The build stage bundles the program (it installs the packages unless the checkout
# brings them along); the image holds the bundle and Node 24, which the `node` package carries.
ARG BUILD_IMAGE=node:24-bookworm-slim
ARG BASE_IMAGE=debian:bookworm-slim

FROM ${BUILD_IMAGE} AS build
LABEL bellwether.testbed.build=yes
WORKDIR /src
COPY . .
RUN PATH="$PWD/node_modules/.bin:$PATH" node scripts/setup.mjs --build

FROM ${BASE_IMAGE}
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin bellwether \
  && install -d -o bellwether -g bellwether -m 0700 /data /keys
COPY --from=build /src/node_modules/node/bin/node /usr/local/bin/node
COPY --from=build /src/dist /opt/bellwether/dist
COPY --from=build /src/config /opt/bellwether/config
RUN ln -s /opt/bellwether/dist/bellwether.mjs /usr/local/bin/bellwether
USER bellwether
WORKDIR /data
ENV BELLWETHER_DATA=/data
VOLUME /data
EXPOSE 4101 9099
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 CMD ["node", "-e", "const t = require('fs').readFileSync('/data/http.token', 'utf8').trim(); fetch('http://127.0.0.1:9099/livez', { headers: { authorization: 'Bearer ' + t } }).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["bellwether"]
CMD ["agent"]
