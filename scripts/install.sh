#!/usr/bin/env bash
# Installs what `make install` has built: programs, manual pages, completions, units, an example configuration, and a configuration
# that grants nobody anything.
#
# PREFIX (/usr/local) says where to, SYSCONFDIR (/etc) where the configuration goes, DESTDIR below what. A configuration
# that is there already stays as it is. Nothing is started.
set -euo pipefail
cd "$(dirname "$0")/.."

prefix=${PREFIX:-/usr/local}
sysconfdir=${SYSCONFDIR:-/etc}
root=${DESTDIR:-}
built=${CARGO_TARGET_DIR:-target}/release

install -Dm755 -t "$root$prefix/bin" "$built/chancery" "$built/chanceryd"

install -d "$root$prefix/share/man/man1" "$root$prefix/share/man/man8"
"$built/chancery" man --out-dir "$root$prefix/share/man/man1"
"$built/chanceryd" man --out-dir "$root$prefix/share/man/man8"

# completion SHELL FILE
completion() {
    install -d "$(dirname "$root$prefix/share/$2")"
    "$built/chancery" completions "$1" >"$root$prefix/share/$2"
}
completion bash bash-completion/completions/chancery
completion fish fish/vendor_completions.d/chancery.fish
completion zsh zsh/site-functions/_chancery

for unit in systemd/*.service systemd/*.socket; do
    target=$root$prefix/lib/systemd/system/${unit##*/}
    install -Dm644 "$unit" "$target"
    sed -i "s|/usr/bin/chanceryd|$prefix/bin/chanceryd|g" "$target"
done
agent=$root$prefix/lib/systemd/user/chancery-agent.service
install -Dm644 systemd/user/chancery-agent.service "$agent"
sed -i "s|/usr/bin/chancery |$prefix/bin/chancery |g" "$agent"
install -Dm644 systemd/chancery.sysusers "$root$prefix/lib/sysusers.d/chancery.conf"
install -Dm644 systemd/chancery.tmpfiles "$root$prefix/lib/tmpfiles.d/chancery.conf"

install -Dm644 systemd/chanceryd.toml "$root$prefix/share/doc/chancery/chanceryd.toml"
[ -e "$root$sysconfdir/chancery/chanceryd.toml" ] ||
    scripts/fresh-configuration.sh | install -Dm644 /dev/stdin "$root$sysconfdir/chancery/chanceryd.toml"

if [ -z "$root" ]; then
    cat <<EOF
Installed. What is left, as root:
  systemd-sysusers && systemd-tmpfiles --create && systemctl daemon-reload
  write tokens and grants into $sysconfdir/chancery/chanceryd.toml (it has none), then: chanceryd check-config
  systemctl enable --now chanceryd.socket chanceryd.service
EOF
fi
