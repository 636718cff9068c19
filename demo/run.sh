#!/usr/bin/env bash
# A letter from Alice to Bob and Carol. Alice's and Bob's keys are made on a token and never leave it; chanceryd holds the
# token, and `chancery` asks it. Carol has never heard of Chancery: she has OpenSSL and a key in a file, and checks what
# arrives. Everything happens in one temporary directory that is gone afterwards. `make demo` builds first.
set -euo pipefail
# The daemon refuses what a group could change, and some systems let the group by default.
umask 022

repository=$(cd "$(dirname "$0")/.." && pwd)
PATH=${CARGO_TARGET_DIR:-$repository/target}/debug:$PATH

work=$(mktemp -d)
chmod 700 "$work"
cd "$work"
daemon=
clean_up() {
    local status=$?
    if [ -n "$daemon" ]; then
        kill "$daemon" 2>/dev/null || true
        wait "$daemon" 2>/dev/null || true
    fi
    if ((status)) && [ -f chanceryd.log ]; then
        printf '\nThe demo failed. The end of the log of chanceryd:\n' >&2
        tail -n 30 chanceryd.log >&2
    fi
    rm -rf "$work"
}
trap clean_up EXIT

say() { printf '\n\e[1m%s\e[0m\n' "$*"; }
# shown TEXT: a command as one would type it. run COMMAND…: shows it and runs it.
shown() { printf '  $ %s\n' "$*"; }
run() {
    shown "$*"
    "$@" 2>&1 | indented
}
indented() { sed 's/^/    /'; }
quietly() { "$@" >quietly.log 2>&1 || { cat quietly.log >&2; return 1; }; }

# ---------------------------------------------------------------------------------------------------------------------------
say "1. A throw-away token (SoftHSM) with keys that are made on it"

for module in /usr/lib/softhsm/libsofthsm2.so /usr/lib/*/softhsm/libsofthsm2.so; do
    [ -e "$module" ] && break
done
mkdir tokens certificates spool
cat >softhsm2.conf <<EOF
directories.tokendir = $work/tokens
objectstore.backend = file
log.level = ERROR
EOF
export SOFTHSM2_CONF=$work/softhsm2.conf
pin=$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')
quietly softhsm2-util --init-token --free --label demo --pin "$pin" --so-pin "$pin"

token() { quietly pkcs11-tool --module "$module" --token-label demo --login --pin "$pin" "$@"; }
token --keypairgen --key-type rsa:2048 --usage-sign --id 01 --label alice-sign
token --keypairgen --key-type rsa:2048 --usage-decrypt --id 02 --label alice-encrypt
token --keypairgen --key-type EC:prime256v1 --usage-sign --id 03 --label bob-sign
token --keypairgen --key-type rsa:3072 --usage-decrypt --id 04 --label bob-encrypt
pkcs11-tool --module "$module" --token-label demo --login --pin "$pin" --list-objects --type privkey 2>/dev/null |
    grep -E 'label|Access' | indented

# ---------------------------------------------------------------------------------------------------------------------------
say "2. A small certificate authority, in files, issues a certificate for each of them, and one for Carol's key"

quietly openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 2 \
    -subj "/O=Chancery Demo/CN=Demo CA" -addext "keyUsage=critical,keyCertSign,cRLSign"
cp ca.pem certificates/

# issue FILE NAME KEYUSAGE: FILE.pem for the public key in FILE.pub.
issue() {
    cat >extensions <<EOF
basicConstraints = critical,CA:FALSE
keyUsage = critical,$3
extendedKeyUsage = emailProtection
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = email:$2@example.org
EOF
    quietly openssl x509 -new -force_pubkey "$1.pub" -subj "/O=Chancery Demo/CN=${2^}" -CA ca.pem -CAkey ca.key -days 2 \
        -extfile extensions -out "$1.pem"
}
# on_token ID FILE NAME KEYUSAGE: the same for a public key on the token; the certificate goes onto it as well.
on_token() {
    token --read-object --type pubkey --id "$1" --output-file public.der
    quietly openssl pkey -pubin -inform DER -in public.der -out "$2.pub"
    issue "$2" "$3" "$4"
    quietly openssl x509 -in "$2.pem" -outform DER -out certificate.der
    token --write-object certificate.der --type cert --id "$1" --label "$2"
}
on_token 01 alice-sign alice digitalSignature
on_token 02 alice-encrypt alice keyEncipherment
on_token 03 bob-sign bob digitalSignature
on_token 04 bob-encrypt bob keyEncipherment
quietly openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out carol.key
quietly openssl pkey -in carol.key -pubout -out carol.pub
issue carol carol digitalSignature,keyEncipherment
for certificate in *-*.pem carol.pem; do
    echo "    $certificate: $(openssl x509 -in "$certificate" -noout -ext keyUsage | tail -n 1 | xargs)"
done

# ---------------------------------------------------------------------------------------------------------------------------
say "3. chanceryd, which alone may use the token"

(umask 077 && printf %s "$pin" >pin)
cat >chanceryd.toml <<EOF
[listen]
unix = "$work/chanceryd.sock"

[audit]
file = "$work/audit.jsonl"

[state]
directory = "$work/state"

[log]
format = "text"

[mail]
spool_directory = "$work/spool"

[certificates]
directory = "$work/certificates"

[[module]]
name = "softhsm"
path = "$module"
environment = { SOFTHSM2_CONF = "$SOFTHSM2_CONF" }

[[token]]
name = "demo"
module = "softhsm"
label = "demo"
pin = { file = "$work/pin" }

# Whoever runs the demo plays both of them.
[[grant]]
name = "alice-and-bob"
caller = { uid = $(id -u) }
identities = ["alice@example.org", "bob@example.org"]
operations = ["sign", "decrypt", "list"]
EOF
run chanceryd --config chanceryd.toml check-config
shown "chanceryd --config chanceryd.toml run &"
chanceryd --config chanceryd.toml run >chanceryd.log 2>&1 &
daemon=$!
export CHANCERY_ADDRESS=unix:$work/chanceryd.sock
for _ in {1..100}; do
    chancery status >/dev/null 2>&1 && break
    kill -0 "$daemon"
    sleep 0.1
done
run chancery identities

# ---------------------------------------------------------------------------------------------------------------------------
say "4. Alice signs, and encrypts to Bob and Carol"

cat >letter.eml <<EOF
From: Alice <alice@example.org>
To: Bob <bob@example.org>, Carol <carol@example.org>
Subject: Dinner on Friday
Date: $(date -R)
Message-ID: <$RANDOM.$RANDOM@example.org>
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

Dear both,

the table at the Café Müller is ours from eight. Bring an appetite.

Alice
EOF
shown "chancery sign < letter.eml > signed.eml"
chancery sign <letter.eml >signed.eml
shown "chancery encrypt --to bob@example.org --recipient-cert carol.pem < signed.eml > sealed.eml"
chancery encrypt --to bob@example.org --recipient-cert carol.pem <signed.eml >sealed.eml
head -n 14 sealed.eml | indented
echo "    …"

# ---------------------------------------------------------------------------------------------------------------------------
say "5. Bob opens it with his key on the token"

shown "chancery decrypt < sealed.eml > opened.eml"
chancery decrypt <sealed.eml >opened.eml
shown "chancery verify < opened.eml"
chancery verify <opened.eml | indented

# ---------------------------------------------------------------------------------------------------------------------------
say "6. Carol opens the same message with OpenSSL"

run openssl cms -decrypt -in sealed.eml -recip carol.pem -inkey carol.key -out opened-by-openssl.eml
run openssl cms -verify -in opened-by-openssl.eml -CAfile ca.pem -out letter-by-openssl.txt
indented <letter-by-openssl.txt

# ---------------------------------------------------------------------------------------------------------------------------
say "7. Carol answers with OpenSSL, and Bob opens it"

printf 'Content-Type: text/plain\n\nI will be there.\n\nCarol\n' >answer.txt
run openssl cms -sign -in answer.txt -signer carol.pem -inkey carol.key -out answer-signed.eml
run openssl cms -encrypt -aes-256-cbc -in answer-signed.eml -from carol@example.org -to bob@example.org -subject Answer \
    -out answer-sealed.eml bob-encrypt.pem
shown "chancery decrypt < answer-sealed.eml | chancery verify"
chancery decrypt <answer-sealed.eml | tee answer-opened.eml | chancery verify | indented

# ---------------------------------------------------------------------------------------------------------------------------
say "8. What the audit trail says: every use of a key, before and after"

# Shortened: each record also says when, for which request, who called, and the hash of the record before it.
sed -E -e 's/"(time|previous|request|rpc|caller|hash)":("[^"]*"|\{[^}]*\}),?//g' -e 's/,\}$/}/' \
    -e 's/"([0-9a-f]{8})[0-9a-f]{56}"/"\1…"/g' audit.jsonl | indented
run chanceryd verify-audit audit.jsonl

# ---------------------------------------------------------------------------------------------------------------------------
cmp <(openssl cms -verify -in opened.eml -CAfile ca.pem 2>/dev/null) letter-by-openssl.txt
grep -q 'M=C3=BCller' letter-by-openssl.txt
say "Bob and Carol have read the same letter, and no private key of Alice or Bob has ever left the token."
