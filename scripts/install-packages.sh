#!/usr/bin/env bash
# Installs the Debian or Ubuntu packages that a make target needs and that this machine lacks, and says so first.
#
#   scripts/install-packages.sh SET…      where SET is one of: build demo test fuzz check
#
# A package is missing when what it is wanted for is missing, so that what came here another way is left alone.
set -euo pipefail

missing=()

# want PACKAGE PROBE…: the package is missing if the probe fails.
want() {
    local package=$1
    shift
    "$@" >/dev/null 2>&1 || missing+=("$package")
}

on_path() { command -v "$1"; }
library() { compgen -G "/usr/lib/$1" || compgen -G "/usr/lib/*/$1"; }
header() { compgen -G "/usr/include/$1" || compgen -G "/usr/include/*/$1"; }

build() {
    want gcc on_path cc
    want libc6-dev header stdio.h
}

demo() {
    build
    want softhsm2 on_path softhsm2-util
    want softhsm2 library softhsm/libsofthsm2.so
    want openssl on_path openssl
    want opensc on_path pkcs11-tool
}

tests() {
    demo
    want g++ on_path c++
    want libclang-dev library 'llvm-*/lib/libclang.so*'
    want perl on_path perl
    want pcscd test -x /usr/sbin/pcscd
    want vsmartcard-vpcd library pcsc/drivers/serial/libifdvpcd.so
    want opensc-pkcs11 library opensc-pkcs11.so
    want iproute2 on_path ip
    want swtpm on_path swtpm
    want tpm2-abrmd test -x /usr/sbin/tpm2-abrmd
    want tpm2-tools on_path tpm2_getcap
    want libtss2-tcti-tabrmd0 library libtss2-tcti-tabrmd.so.0
    want libtss2-tcti-swtpm0 library libtss2-tcti-swtpm.so.0
    want libtpm2-pkcs11-1 library pkcs11/libtpm2_pkcs11.so
    want libtpm2-pkcs11-tools on_path tpm2_ptool
    want dbus-daemon on_path dbus-daemon
    want gpg-agent on_path gpg-agent
    want gpgsm on_path gpgsm
    want libengine-pkcs11-openssl library 'engines-*/pkcs11.so'
    want libnss3-tools on_path cmsutil
    want mmdebstrap on_path mmdebstrap
    want p11-kit on_path p11-kit
    want p11-kit-modules library pkcs11/p11-kit-client.so
    want python3 on_path python3
    want python3-venv python3 -m ensurepip --version
    want systemd on_path systemd-analyze
    want systemd-container on_path systemd-nspawn
    want util-linux on_path nsenter
}

fuzz() {
    build
    want g++ on_path c++
}

check() {
    build
    want npm on_path npm
    want python3 on_path python3
    want python3-venv python3 -m ensurepip --version
    want shellcheck on_path shellcheck
    want systemd on_path systemd-analyze
}

for set in "$@"; do
    case $set in
    build | demo | fuzz | check) "$set" ;;
    test) tests ;;
    *)
        echo "install-packages: unknown set: $set" >&2
        exit 2
        ;;
    esac
done

((${#missing[@]})) || exit 0
mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)

if ! command -v apt-get >/dev/null; then
    echo "Missing, and there is no apt-get to install it with. Install what your system calls: ${missing[*]}" >&2
    exit 1
fi
as_root=()
if ((EUID != 0)); then
    if ! command -v sudo >/dev/null; then
        echo "Missing, and neither root nor sudo is at hand. Have an administrator install: ${missing[*]}" >&2
        exit 1
    fi
    as_root=(sudo)
fi

echo "Installing with apt-get: ${missing[*]}"
apt_get=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 -qq)
"${apt_get[@]}" update </dev/null >/dev/null
"${apt_get[@]}" install -y --no-install-recommends "${missing[@]}" </dev/null >/dev/null
