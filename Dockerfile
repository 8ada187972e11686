# An image with one file in it: no shell, no libraries, no package manager, no root.
#
# The binary is built outside, because it needs a Rust toolchain and an image this small has no
# place for one. docker/build.sh does both steps; by hand:
#
#   RUSTFLAGS="-C target-feature=+crt-static" \
#     cargo build --locked --profile dist --target x86_64-unknown-linux-gnu
#   cp target/x86_64-unknown-linux-gnu/dist/openpolicy-mcp docker/context/
#   docker build -f Dockerfile -t openpolicy-mcp docker/context
#
# Certificate roots are compiled in, so TLS works without a system store.
FROM scratch
COPY openpolicy-mcp /openpolicy-mcp
# A number, not a name: there is no /etc/passwd. Files that are mounted have to be readable for it.
USER 65532:65532
# Only with `serve --http 0.0.0.0:8765`, which needs a bearer token (OPENPOLICY_HTTP_TOKEN_FILE).
EXPOSE 8765
ENTRYPOINT ["/openpolicy-mcp"]
# MCP over stdin and stdout: docker run -i --rm openpolicy-mcp
CMD ["serve"]
