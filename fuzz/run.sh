#!/usr/bin/env bash
# Builds the fuzz targets and runs each for FUZZ_SECONDS (10), starting from the seeds and from what earlier runs found.
#
#   fuzz/run.sh [TARGET…]
#
# A finding ends the run. The input is in fuzz/artifacts/TARGET; `target/debug/fuzz-TARGET FILE` runs it again.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${FUZZ_SECONDS:-10}

# The directories that a target starts from.
seeds() {
    local smime=daemon/smime/tests
    case $1 in
    mime_make) echo $smime/messages ;;
    mime_open | verify) echo $smime/messages $smime/fixtures/encrypt/messages fuzz/seeds/verify ;;
    header) echo $smime/messages fuzz/seeds/verify fuzz/seeds/header ;;
    decrypt) echo $smime/fixtures/encrypt/messages fuzz/seeds/decrypt ;;
    certificate) echo fuzz/seeds/certificate ;;
    configuration) echo daemon/chanceryd/tests/config systemd ;;
    rfc7512_uri) echo fuzz/seeds/rfc7512_uri ;;
    *)
        echo "fuzz: no such target: $1" >&2
        exit 2
        ;;
    esac
}

targets=("$@")
if ((${#targets[@]} == 0)); then
    for file in fuzz/targets/*.rs; do
        targets+=("$(basename "$file" .rs)")
    done
fi

bins=()
for target in "${targets[@]}"; do
    bins+=(--bin "fuzz-$target")
done
# The workspace's own Cargo.toml is given as configuration for its profiles, so that dependencies are built once for both.
# Not --locked: fuzz/Cargo.lock may lag behind a dependency that the workspace has just got.
RUSTC_WRAPPER=$PWD/fuzz/instrument.sh cargo build --quiet \
    --manifest-path fuzz/Cargo.toml --config Cargo.toml --target-dir target "${bins[@]}"

for target in "${targets[@]}"; do
    read -ra from < <(seeds "$target")
    mkdir -p "fuzz/corpus/$target" "fuzz/artifacts/$target"
    log=fuzz/artifacts/$target/log
    if ! "target/debug/fuzz-$target" -artifact_prefix="fuzz/artifacts/$target/" -max_len=65536 -timeout=10 \
        -rss_limit_mb=1024 -max_total_time="$seconds" -print_final_stats=1 \
        "fuzz/corpus/$target" "${from[@]}" >"$log" 2>&1; then
        cat "$log"
        echo "fuzz: $target found something: fuzz/artifacts/$target" >&2
        exit 1
    fi
    awk -v target="$target" '/number_of_executed_units/ { runs = $2 } / cov: / { cov = $4 } END {
        printf "fuzz: %-15s %9d runs, %5d places reached\n", target, runs, cov }' "$log"
done
