#!/usr/bin/env bash
# Lints the contract with the buf that proto/package-lock.json pins.
set -euo pipefail
cd "$(dirname "$0")/../proto"

buf() { compgen -G 'node_modules/@bufbuild/buf-linux-*/bin/buf'; }
if [ package-lock.json -nt node_modules/.package-lock.json ] || ! buf >/dev/null; then
    npm ci --silent --no-audit --no-fund </dev/null
fi
"$(buf)" lint
"$(buf)" format --diff --exit-code
