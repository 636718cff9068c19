#!/usr/bin/env bash
# The units must be understood to the last key, and the service must score 1.5 or better in `systemd-analyze security`.
# Needs systemd-analyze (252 or newer) and no running systemd.
set -euo pipefail

cd "$(dirname "$0")"
limit=1.5
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# verify looks for the program, for the socket beside the service, and at the names of users; the daemon need not be
# installed for it, so that copies that name a program which is there stand in.
sed "s|^ExecStart=/usr/bin/chanceryd|ExecStart=$(command -v true)|" chanceryd.service >"$work/chanceryd.service"
cp chanceryd.socket "$work/"

sed "s|^ExecStart=/usr/bin/chancery |ExecStart=$(command -v true) |" user/chancery-agent.service >"$work/chancery-agent.service"

# It exits with 0 over a key that it does not know; what it prints is the verdict.
said=$(systemd-analyze verify --man=no --recursive-errors=no "$work/chanceryd.service" "$work/chanceryd.socket" 2>&1) || true
if [ -n "$said" ]; then
    printf 'systemd-analyze verify says:\n%s\n' "$said" >&2
    exit 1
fi

said=$(XDG_RUNTIME_DIR=$work systemd-analyze --user verify --man=no --recursive-errors=no "$work/chancery-agent.service" 2>&1) || true
if [ -n "$said" ]; then
    printf 'systemd-analyze --user verify says:\n%s\n' "$said" >&2
    exit 1
fi

report=$(systemd-analyze security --offline=true --no-pager "$work/chanceryd.service")
score=$(sed -n 's/.*Overall exposure level for [^:]*: \([0-9.]*\).*/\1/p' <<<"$report")
if [ -z "$score" ] || ! awk -v score="$score" -v limit="$limit" 'BEGIN { exit !(score <= limit) }'; then
    printf 'The exposure of chanceryd.service is %s, more than %s:\n' "${score:-unknown}" "$limit" >&2
    grep -v '^✓' <<<"$report" >&2
    exit 1
fi

for file in chancery.sysusers chancery.tmpfiles; do
    [ -s "$file" ] || { printf '%s is missing\n' "$file" >&2; exit 1; }
done
systemd-sysusers --dry-run "$PWD/chancery.sysusers" >"$work/sysusers" 2>&1 || { cat "$work/sysusers" >&2; exit 1; }

printf 'units: verified, exposure %s (at most %s)\n' "$score" "$limit"
