#!/usr/bin/env bash
# Cargo's RUSTC_WRAPPER for the fuzz targets: Chancery's own crates are compiled with the coverage counters that libFuzzer
# steers by, everything else as always, so that the dependencies in target/ serve here too.
set -euo pipefail

case ${CARGO_CRATE_NAME:-} in
chancery_smime | chancery_token | chanceryd | chancery_fuzz | fuzz_*)
    exec "$@" --cfg fuzzing -Cpasses=sancov-module -Ccodegen-units=1 \
        -Cllvm-args=-sanitizer-coverage-level=4 \
        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
        -Cllvm-args=-sanitizer-coverage-pc-table \
        -Cllvm-args=-sanitizer-coverage-trace-compares
    ;;
*) exec "$@" ;;
esac
